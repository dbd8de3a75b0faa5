"""The main workflow on real slides, its results read with other libraries."""

import gzip
import json
from pathlib import Path

import geopandas
import numpy as np
import ome_zarr_models
import pytest
import shapely
import zarr

import wsipipe


@pytest.fixture(scope="module")
def aperio(data_dir: Path, tmp_path_factory: pytest.TempPathFactory, scheduler: str) -> wsipipe.Result:
    done = wsipipe.run(
        "nuclei_and_tissue",
        data_dir / "slides" / "CMU-1-Small-Region.svs",
        tmp_path_factory.mktemp("aperio"),
        resources=wsipipe.Resources(scheduler=scheduler, device="cpu"),
    )
    assert done.exit_code == 0, [slide.message for slide in done.slides]
    return done.results()[0]


def test_ids_table_and_geojson_agree(aperio: wsipipe.Result) -> None:
    labels = aperio.arrays.labels["nuclei"][0][...]
    ids = np.unique(labels)
    count = int(ids[-1])
    assert 1_000 <= count <= 6_000
    assert np.array_equal(ids, np.arange(count + 1))
    table = geopandas.read_parquet(aperio.folder / "nuclei.parquet")
    assert table["id"].tolist() == list(range(1, count + 1))
    assert table.geometry.is_valid.all()
    with gzip.open(aperio.folder / "nuclei.geojson.gz") as file:
        features = json.load(file)["features"]
    assert len(features) == count
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    assert shapely.is_valid(shapes).all()
    x0, y0, x1, y1 = shapely.total_bounds(shapes)
    assert min(x0, y0) > -1, "level-0 px of the slide"
    assert x1 < 2221
    assert y1 < 2968


def test_polygons_lie_on_their_labels(aperio: wsipipe.Result) -> None:
    labels = aperio.arrays.labels["nuclei"][0][...]
    offset_y, offset_x = aperio.attributes["level0_offset_yx"]
    step = aperio.attributes["level0_px_per_canvas_px"]
    table = aperio.nuclei
    points = table.geometry.representative_point()
    y = ((points.y - offset_y) / step).astype(int)
    x = ((points.x - offset_x) / step).astype(int)
    assert (labels[y, x] == table["id"]).mean() > 0.99


def test_store_opens_with_other_libraries(aperio: wsipipe.Result) -> None:
    group = zarr.open_group(aperio.store, mode="r")
    image = ome_zarr_models.open_ome_zarr(group)
    first = image.ome_attributes.multiscales[0].datasets[0]
    assert group[first.path].shape == (3, 3008, 2240)
    names = ("tissue", "quality", "tissue_class", "nuclei")
    for name in names:
        label = ome_zarr_models.open_ome_zarr(group[f"labels/{name}"])
        assert type(label).__name__ == "ImageLabel"
        assert np.asarray(group[f"labels/{name}/0"]).size
    assert set(zarr.open_group(aperio.store / "labels", mode="r").attrs["ome"]["labels"]) == set(names)


def test_every_published_file_is_in_the_manifest(aperio: wsipipe.Result) -> None:
    listed = set(aperio.manifest["files"])
    there = {
        path.relative_to(aperio.folder).as_posix() for path in aperio.folder.rglob("*") if path.is_file()
    }
    assert there - listed == {"slide.zarr/manifest.json"}
    assert listed <= there
    assert aperio.damaged() == []


def test_the_dicom_copy_has_as_many_nuclei(
    aperio: wsipipe.Result, data_dir: Path, tmp_path: Path, scheduler: str
) -> None:
    done = wsipipe.run(
        "nuclei",
        data_dir / "slides" / "dicom" / "CMU-1-Small-Region",
        tmp_path,
        resources=wsipipe.Resources(scheduler=scheduler, device="cpu"),
    )
    assert done.exit_code == 0, [slide.message for slide in done.slides]
    count = len(aperio.nuclei)
    assert abs(done.slides[0].nuclei - count) <= 0.03 * count


def test_good_and_broken_slides_together(data_dir: Path, tmp_path: Path, scheduler: str) -> None:
    slides = data_dir / "slides"
    done = wsipipe.run(
        "tiling_only",
        [slides / "broken", slides / "OS-2-vsi.ome.tif", slides / "OS-2-ndpi.ome.tif"],
        tmp_path,
        resources=wsipipe.Resources(scheduler=scheduler, device="cpu"),
    )
    assert done.exit_code == 2
    by_name = {slide.path.name: slide for slide in done.slides}
    assert by_name["OS-2-vsi.ome.tif"].status == by_name["OS-2-ndpi.ome.tif"].status == "done"
    for name in ("not-a-tiff.svs", "unopenable.tiff", "unreadable.svs"):
        slide = by_name[name]
        assert (slide.status, slide.code) == ("failed", "SLIDE_UNREADABLE")
        assert name in slide.message
        assert len(slide.message) > 60
    assert json.loads((tmp_path / "run.json").read_text())["slides"]
