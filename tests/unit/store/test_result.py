"""A finished slide opens as arrays and a table; a hole in it is an error."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from wsipipe.errors import ConfigError, StorageError
from wsipipe.store.result import Result, open_result


@pytest.fixture
def copied(finished: Result, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.folder, tmp_path / "slide"))


def test_all_that_was_computed_is_there(finished: Result) -> None:
    assert [level.shape for level in finished.image] == [(3, 512, 512), (3, 256, 256)]
    shapes = {name: levels[0].shape for name, levels in finished.labels.items()}
    assert shapes == {"nuclei": (512, 512), "tissue": (32, 32), "tissue_class": (16, 16)}
    maps = {name: array.shape for name, array in finished.probabilities.items()}
    assert maps == {"nucleus": (512, 512), "centre": (512, 512), "tissue_class": (2, 16, 16)}
    assert finished.attributes["slide_mpp_source"] == "vendor"


def test_ids_rows_and_features_are_one(finished: Result) -> None:
    ids = np.unique(finished.arrays.labels["nuclei"][0][...])
    table = finished.nuclei
    assert len(table) > 10
    np.testing.assert_array_equal(ids, np.arange(len(table) + 1))
    np.testing.assert_array_equal(table["id"], ids[1:])


def test_scales_are_in_um(finished: Result) -> None:
    assert finished.scale_um() == (0.5, 0.5, 0.0, 0.0)
    assert finished.scale_um("labels/tissue") == (8.0, 8.0, 3.75, 3.75)


def test_the_store_opens_by_its_own_name(finished: Result) -> None:
    assert open_result(finished.store).folder == finished.folder


def test_a_missing_shard_is_no_background(copied: Path) -> None:
    (copied / "slide.zarr/labels/nuclei/0/c/0/1").unlink()
    nuclei = open_result(copied).labels["nuclei"][0]
    assert nuclei[:256, :256].shape == (256, 256)
    with pytest.raises(Exception, match=r"[Cc]hunk|shard"):
        nuclei.compute()
    with pytest.raises(Exception, match=r"[Cc]hunk|shard"):
        open_result(copied).arrays.labels["nuclei"][0][...]
    assert (zarr.open_array(copied / "slide.zarr/labels/nuclei/0", mode="r")[:256, 256:] == 0).all()
    assert open_result(copied).damaged() == ["slide.zarr/labels/nuclei/0/c/0/1"]


def test_what_was_never_finished_does_not_open(copied: Path) -> None:
    (copied / "slide.zarr/manifest.json").unlink()
    with pytest.raises(StorageError, match="not a finished result"):
        open_result(copied)


def test_a_workflow_without_nuclei_has_no_table(tiled: Result) -> None:
    with pytest.raises(StorageError, match="no nuclei"):
        _ = tiled.nuclei
    assert tiled.damaged() == []


def test_arrays_are_lazy_and_chunked_by_shard(finished: Result, copied: Path) -> None:
    import dask.array

    image = finished.image[0]
    assert isinstance(image, dask.array.Array)
    assert image.chunks == ((3,), (256, 256), (256, 256))
    for lazy, stored in (
        (image, finished.arrays.image[0]),
        (finished.labels["tissue"][0], finished.arrays.labels["tissue"][0]),
        (finished.probabilities["centre"], finished.arrays.probabilities["centre"]),
    ):
        assert lazy.dtype == stored.dtype
        np.testing.assert_array_equal(lazy.compute(), stored[...])
    # Nothing is read before it is computed.
    opened = open_result(copied).image[0]
    shutil.rmtree(copied)
    with pytest.raises(Exception, match=r"[Cc]hunk|shard"):
        opened.compute()


def test_a_part_is_drawn_where_it_lies(finished: Result) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    axes = finished.plot(region=(200, 400, 300, 500))
    (picture,) = axes.get_images()
    # Whole canvas px of two level-0 px each.
    assert picture.get_extent() == [400, 900, 500, 200]
    np.testing.assert_array_equal(
        picture.get_array(), np.moveaxis(finished.arrays.image[0][:, 100:250, 200:450], 0, 2)
    )
    inside = finished.nuclei.cx[400:900, 200:500]
    (outlines,) = axes.collections
    assert len(inside) > 3
    assert len(outlines.get_paths()) == sum(1 + len(polygon.interiors) for polygon in inside.polygon)
    assert (axes.get_xlim(), axes.get_ylim()) == ((400, 900), (500, 200))
    whole = finished.plot(axes=plt.figure().subplots(), colour_by="area_um2")
    assert whole.get_images()[0].get_extent() == [0, 1024, 1024, 0]
    with pytest.raises(ConfigError, match="lies outside the slide"):
        finished.plot(region=(5000, 0, 10, 10))
    plt.close("all")


def test_a_result_describes_itself(finished: Result, tiled: Result) -> None:
    text = finished._repr_html_()
    for shown in (
        finished.folder.name,
        "512 x 512",
        f"{len(finished.nuclei):,}",
        "tiny_nuclei",
        "Research use",
    ):
        assert shown in text
    assert 'src="data:image/png;base64,' in text
    assert ">nuclei</th>" in text
    assert ">nuclei</th>" not in tiled._repr_html_()
    assert repr(tiled) == f"Result(folder={tiled.folder!r})"


def test_a_run_has_a_log_beside_its_record_and_in_no_manifest(tiled: Result) -> None:
    text = (tiled.folder.parent / "run.log").read_text()
    lines = [line.split(" ", 2)[2] for line in text.splitlines()]
    assert "INFO 1 slide" in lines
    assert lines[-1] == "INFO end"
    assert any(line.startswith(f"INFO {tiled.folder.name}: done in ") for line in lines)
    assert not any("run.log" in path for path in tiled.manifest["files"])
