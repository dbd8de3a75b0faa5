"""OME-Zarr 0.4 has valid attributes and the px of the store in every level."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from wsipipe.errors import StorageError
from wsipipe.geometry import Region
from wsipipe.results.export import ome_zarr04
from wsipipe.results.export.formats import export_result
from wsipipe.results.export.source import ExportSource
from wsipipe.review.sample import MPP
from wsipipe.store.result import Result
from wsipipe.tiling.slide import open_slide

models = pytest.importorskip("ome_zarr_models.v04", reason="the validator of OME-Zarr is not installed")


@pytest.fixture(scope="module")
def written(source: ExportSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zarr") / "slide.zarr"
    # image 2, labels 3 x 2, probabilities 2
    assert ome_zarr04.write(source, path) == 10
    return path


def test_image_and_labels_are_valid(written: Path) -> None:
    image = models.Image.from_zarr(zarr.open_group(written, mode="r", zarr_format=2))
    assert image.attributes.multiscales[0].version == "0.4"
    for name in ("nuclei", "tissue", "tissue_class"):
        group = zarr.open_group(written / "labels" / name, mode="r", zarr_format=2)
        label = models.ImageLabel.from_zarr(group)
        assert label.attributes.image_label.version == "0.4"
    assert json.loads((written / "labels" / ".zattrs").read_text())["labels"] == [
        "tissue",
        "tissue_class",
        "nuclei",
    ]


def test_every_array_has_its_px(written: Path, pristine: Result) -> None:
    stored = {f"{level}": array for level, array in enumerate(pristine.arrays.image)}
    for name, levels in pristine.arrays.labels.items():
        stored |= {f"labels/{name}/{level}": array for level, array in enumerate(levels)}
    stored |= {f"probabilities/{name}/0": array for name, array in pristine.arrays.probabilities.items()}
    assert len(stored) == 10
    for name, array in stored.items():
        about = json.loads((written / name / ".zarray").read_text())
        assert (about["zarr_format"], about["dimension_separator"], about["order"]) == (2, "/", "C")
        found = zarr.open_array(written / name, mode="r", zarr_format=2)
        np.testing.assert_array_equal(found[...], array[...])


def test_the_chunks_of_an_uneven_copy(
    source: ExportSource, pristine: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ome_zarr04, "CHUNK_PX", 200)
    ome_zarr04.write(source, tmp_path / "s")
    found = zarr.open_array(tmp_path / "s" / "labels/nuclei/0", mode="r", zarr_format=2)
    assert found.chunks == (200, 200)
    np.testing.assert_array_equal(found[...], pristine.arrays.labels["nuclei"][0][...])


def test_it_is_a_slide_of_the_right_scale(written: Path, pristine: Result) -> None:
    with open_slide(written) as slide:
        assert slide.mpp == MPP
        found = slide.read(Region(0, 0, 64, 64), MPP)
    np.testing.assert_array_equal(found, np.moveaxis(pristine.arrays.image[0][:, :64, :64], 0, 2))


def test_a_missing_shard_is_an_error_and_leaves_nothing(slide: Result, tmp_path: Path) -> None:
    next((slide.store / "labels/nuclei/0/c").rglob("1")).rename(tmp_path / "away")
    with pytest.raises(StorageError, match="A shard is missing or damaged"):
        export_result("ome-zarr", slide.folder)
    assert not list((slide.folder / "exports").iterdir())


def test_an_earlier_export_is_replaced(slide: Result) -> None:
    export_result("ome-zarr", slide.folder)
    found = export_result("ome-zarr", slide.folder, overwrite=True)
    assert found.path == slide.folder / "exports" / "slide.ome.zarr"
    assert [each.name for each in found.path.parent.iterdir()] == ["slide.ome.zarr"]
