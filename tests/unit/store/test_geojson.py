import gzip
import json

import numpy as np
import pyarrow as pa
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.store import geojson
from wsipipe.store.geojson import ClassStyle, write_nuclei_geojson, write_tissue_geojson
from wsipipe.store.nuclei_features import NUCLEUS_COLOR
from wsipipe.store.nuclei_table import SCHEMA

STYLES = {0: ClassStyle("ADI", (1, 2, 3)), 3: ClassStyle("STR", (4, 5, 6))}


def nuclei(*ids: int) -> pa.Table:
    columns = {name: pa.array([0.123456] * len(ids), SCHEMA.field(name).type) for name in SCHEMA.names[1:-2]}
    polygons = [shapely.to_wkb(shapely.box(i + 1 / 3, 0, i + 1, 1)) for i in ids]
    columns |= {"id": pa.array(ids, pa.uint32()), "polygon": pa.array(polygons, pa.binary())}
    columns |= {
        "mean_red": pa.nulls(len(ids), pa.float32()),
        "tissue_class": pa.array(["STR" if i % 2 else None for i in ids], pa.string()),
    }
    return pa.table(columns, schema=SCHEMA)


def read_nuclei(path):
    with gzip.open(path) as file:
        return json.load(file)


def test_nuclei_are_detections_as_qupath_reads_them(tmp_path):
    path = tmp_path / "nuclei.geojson.gz"
    assert write_nuclei_geojson(path, [nuclei(1), nuclei(2, 3)], "slide-1", {"STR": (9, 8, 7)}) == 3
    collection = read_nuclei(path)
    assert collection["type"] == "FeatureCollection"
    first, second, _ = collection["features"]
    assert first["properties"]["objectType"] == "detection"
    assert first["properties"]["nucleus_id"] == 1
    assert first["properties"]["classification"] == {"name": "Nucleus: STR", "color": [9, 8, 7]}
    assert second["properties"]["classification"] == {"name": "Nucleus", "color": list(NUCLEUS_COLOR)}
    assert first["properties"]["measurements"]["area_um2"] == 0.1235
    assert "mean_red" not in first["properties"]["measurements"]
    assert shapely.geometry.shape(first["geometry"]).bounds == (1.33, 0, 2, 1)


def test_bytes_and_uuids_are_the_same_in_every_run_and_differ_by_slide(tmp_path):
    for name, slide in (("a", "one"), ("b", "one"), ("c", "two")):
        write_nuclei_geojson(tmp_path / name, [nuclei(1, 2)], slide)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    ids = {feature["id"] for name in "ac" for feature in read_nuclei(tmp_path / name)["features"]}
    assert len(ids) == 4


def test_no_nuclei_make_an_empty_collection(tmp_path):
    assert write_nuclei_geojson(tmp_path / "none", [], "slide") == 0
    assert read_nuclei(tmp_path / "none")["features"] == []


def test_tissue_regions_are_locked_annotations_on_pixel_edges(tmp_path):
    class_map = np.array([[0, 0, 3], [254, 0, 255]], np.uint8)
    path = tmp_path / "tissue_class.geojson"
    assert write_tissue_geojson(path, class_map, STYLES, (10.0, 20.0, 4.0), 2.0, "slide") == 2
    fat, stroma = json.loads(path.read_text())["features"]
    assert fat["properties"]["objectType"] == "annotation"
    assert fat["properties"]["isLocked"] is True
    assert fat["properties"]["classification"] == {"name": "ADI", "color": [1, 2, 3]}
    assert fat["properties"]["measurements"] == {"area_um2": 12.0}
    assert shapely.geometry.shape(stroma["geometry"]).equals(shapely.box(28, 10, 32, 14))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.tuples(st.integers(1, 25), st.integers(1, 25)))
def test_regions_are_valid_disjoint_and_cover_their_pixels(seed, shape):
    mask = np.random.default_rng(seed).random(shape) > 0.4
    regions = geojson._regions(mask)
    assert shapely.is_valid(regions).all()
    y, x = np.indices(shape) + 0.5
    inside = sum((shapely.contains_xy(region, x, y).astype(int) for region in regions), np.zeros(shape, int))
    np.testing.assert_array_equal(inside, mask)
    assert shapely.area(regions).sum() == mask.sum()
