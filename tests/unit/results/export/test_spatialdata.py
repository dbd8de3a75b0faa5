"""A SpatialData store has every element in its place, as its own reader reads it."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from wsipipe.errors import ConfigError, NoResultError
from wsipipe.results.export import source, spatialdata_store
from wsipipe.results.export.formats import FORMATS, export_result, find_format
from wsipipe.results.export.source import ExportOptions, ExportSource, open_source
from wsipipe.store.result import Result

WITHOUT = "LOUD SKIP: the extra spatialdata is not installed, so its export is NOT tested"
# Of its many dependencies.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsipipe.results.export.formats.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package spatialdata, .*\[spatialdata\]"):
        find_format("spatialdata")


def test_every_element_lies_at_level_0(
    pristine: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spatialdata = pytest.importorskip("spatialdata", reason=WITHOUT)
    monkeypatch.setattr(source, "_BATCH_ROWS", 10)
    nuclei = pristine.nuclei
    written = export_result("spatialdata", pristine.folder, tmp_path / "s.zarr")
    assert (written.count, written.counts) == (len(nuclei), "nuclei")
    found = spatialdata.read_zarr(tmp_path / "s.zarr")
    outlines = found.shapes["nuclei"]
    assert outlines.index.tolist() == nuclei.id.tolist()
    assert outlines.geometry.geom_equals(nuclei.geometry.reset_index(drop=True), align=False).all()
    table = found.tables["measures"]
    assert table.obs["nucleus_id"].tolist() == nuclei.id.tolist()
    np.testing.assert_array_equal(table[:, "area_um2"].X[:, 0], nuclei.area_um2)
    image = spatialdata.get_pyramid_levels(found.images["image"], n=0)
    np.testing.assert_array_equal(image.to_numpy(), pristine.arrays.image[0][...])
    for name, levels in pristine.arrays.labels.items():
        read = [*spatialdata.get_pyramid_levels(found.labels[f"{name}_labels"])]
        assert len(read) == len(levels)
        for level, exact in zip(read, levels, strict=True):
            np.testing.assert_array_equal(level.to_numpy(), exact[...])
    check_places(spatialdata, found, pristine)


def check_places(spatialdata: object, found: object, result: Result) -> None:
    """The corners of px of every raster are those of level 0."""
    from spatialdata.transformations import get_transformation

    (y, x), step = result.attributes["level0_offset_yx"], result.attributes["level0_px_per_canvas_px"]
    scales = {"image": 1.0} | {
        f"{name}_labels": result.scale_um(f"labels/{name}")[0] / result.attributes["canvas_mpp"]
        for name in result.arrays.labels
    }
    for name, times in scales.items():
        matrix = get_transformation(found[name], "global").to_affine_matrix(("x", "y"), ("x", "y"))
        np.testing.assert_allclose(matrix, [[step * times, 0, x], [0, step * times, y], [0, 0, 1]])
    # The nuclei lie where their labels lie.
    labels = found["nuclei_labels"]["scale0"]["image"].to_numpy()
    first = found["nuclei"].geometry.iloc[0]
    rows, columns = np.nonzero(labels == found["nuclei"].index[0])
    inside = np.array([(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]) * step + (x, y)
    np.testing.assert_allclose(first.bounds, inside.ravel(), atol=step)


def test_a_selection_has_its_outlines_alone(pristine: Result, tmp_path: Path) -> None:
    spatialdata = pytest.importorskip("spatialdata", reason=WITHOUT)
    least = float(pristine.nuclei.probability.quantile(0.5))
    some = ExportSource(pristine, ExportOptions(min_probability=least))
    kept = pristine.nuclei[pristine.nuclei.probability >= np.float32(least)]
    assert 0 < len(kept) < len(pristine.nuclei)
    assert spatialdata_store.write(some, tmp_path / "s.zarr") == len(kept)
    found = spatialdata.read_zarr(tmp_path / "s.zarr")
    assert found.shapes["nuclei"].index.tolist() == kept.id.tolist()
    assert found.tables["measures"].obs["nucleus_id"].tolist() == kept.id.tolist()


def test_without_an_image_the_rest_is_written(without_image: Result, tmp_path: Path) -> None:
    spatialdata = pytest.importorskip("spatialdata", reason=WITHOUT)
    assert spatialdata_store.write(open_source(without_image.folder), tmp_path / "s.zarr")
    found = spatialdata.read_zarr(tmp_path / "s.zarr")
    assert not found.images
    assert "nuclei_labels" in found.labels


def test_sister_the_library_alone_wrote_one_outline(
    pristine: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("spatialdata", reason=WITHOUT)
    monkeypatch.setattr(spatialdata_store, "_write_outlines", lambda *_: None)
    spatialdata_store.write(open_source(pristine.folder), tmp_path / "s.zarr")
    assert pq.read_metadata(tmp_path / "s.zarr" / spatialdata_store.OUTLINES).num_rows == 1


def test_an_empty_selection_is_refused(pristine: Result, tmp_path: Path) -> None:
    pytest.importorskip("spatialdata", reason=WITHOUT)
    none = ExportSource(pristine, ExportOptions(min_probability=1.1))
    with pytest.raises(NoResultError, match="no nuclei to write"):
        spatialdata_store.write(none, tmp_path / "s.zarr")


def test_only_a_store_of_this_format_is_replaced() -> None:
    assert FORMATS["spatialdata"].marker == "shapes/nuclei"
