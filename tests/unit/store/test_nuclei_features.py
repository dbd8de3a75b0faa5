"""GeoJSON texts by compiled code are those of Python and shapely, byte for byte."""

import gzip
import json
import shutil
import uuid

import numpy as np
import pyarrow as pa
import pytest
import shapely

from wsipipe.store import compiled_geojson
from wsipipe.store.compiled_geojson import measurement_texts, polygon_texts
from wsipipe.store.geojson import join_members, nuclei_member, write_nuclei_geojson
from wsipipe.store.nuclei_features import NAMESPACE, nuclei_features, object_uuids
from wsipipe.store.nuclei_table import SCHEMA

RANDOM = np.random.default_rng(7)
SPECIAL = [0.0, -0.0, 0.00005, -0.00001, 0.00015, 1.00005, 0.5, 2.5, 1e9, 123456789.12345, 1 / 3, -7.25, 1e-9]


@pytest.fixture
def built() -> None:
    if shutil.which("g++") is None:
        pytest.skip("LOUD SKIP: there is no g++; compiled texts are NOT tested")
    assert compiled_geojson.library() is not None


def table_of(polygons: list[shapely.Geometry], values: np.ndarray, first_id: int = 1) -> pa.Table:
    """Nuclei with the given outlines and measurements; some have no class and no colour."""
    count = len(polygons)
    numbers = SCHEMA.names[1:-2]
    columns = {name: pa.array(np.resize(values, count), SCHEMA.field(name).type) for name in numbers}
    columns["id"] = pa.array(range(first_id, first_id + count), pa.uint32())
    columns["mean_red"] = pa.array([None if i % 3 else 0.1 for i in range(count)], pa.float32())
    columns["tissue_class"] = pa.array([(None, 'a "b" é', "STR")[i % 3] for i in range(count)], pa.string())
    columns["polygon"] = pa.array(shapely.to_wkb(polygons), pa.binary())
    return pa.table(columns, schema=SCHEMA)


def polygons_near(count: int, scale: float) -> list[shapely.Geometry]:
    """Rings with a hole every third time, at positions that need rounding, also left of 0."""
    made = []
    for _ in range(count):
        outer = RANDOM.normal(0, scale, 2) + np.array([(0, 0), (9.123456, 0.005), (8.3, 7.775), (0.1, 9)])
        holes = [outer.mean(axis=0) + np.array([(0, 0), (0.5, 0), (0, 0.505)])] if len(made) % 3 == 0 else []
        made.append(shapely.Polygon(outer, holes))
    return [*made, shapely.Polygon([(-0.001, -0.004), (1, 0.0), (1, 1), (-0.5, 99999.995)])]


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("scale", [1, 1000, 1e6])
def test_features_are_the_same_both_ways(monkeypatch, scale):
    polygons = polygons_near(60, scale)
    values = np.concatenate([SPECIAL, RANDOM.normal(0, scale, 40), RANDOM.integers(0, 10**6, 40) / 2e4])
    table = table_of(polygons, values)
    fast = nuclei_features(table, "slide", {"STR": (1, 2, 3)})
    monkeypatch.setattr(compiled_geojson, "library", lambda: None)
    assert fast == nuclei_features(table, "slide", {"STR": (1, 2, 3)})
    assert nuclei_features(table.slice(5, 7), "slide", {}) == nuclei_features(table, "slide", {})[5:12]
    assert json.loads(fast[1])["properties"]["classification"]["name"] == 'Nucleus: a "b" é'


@pytest.mark.usefixtures("built")
def test_parts_of_a_table_have_their_own_outlines():
    table = table_of(polygons_near(20, 100), np.array(SPECIAL))
    assert nuclei_features(table.slice(5, 7), "slide", {}) == nuclei_features(table, "slide", {})[5:12]


@pytest.mark.usefixtures("built")
def test_numbers_are_rounded_as_python_rounds():
    ties = (RANDOM.integers(0, 10**7, 3000) * 2 + 1) / 2e4
    values = np.concatenate([SPECIAL, ties, np.float32(ties), RANDOM.normal(0, 1000, 3000)])[:, None]
    texts = measurement_texts(values, np.ones(values.shape, bool), ["x"])
    assert texts == [f'"x":{json.dumps(round(value, 4))}' for value in values[:, 0].tolist()]


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e10, -1e300])
def test_numbers_that_are_not_covered_are_left_to_python(value):
    assert measurement_texts(np.array([[value]]), np.ones((1, 1), bool), ["x"]) is None


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "shape", [shapely.Point(1, 2), shapely.MultiPolygon([shapely.box(0, 0, 1, 1)]), shapely.Polygon()]
)
def test_other_shapes_are_left_to_shapely(shape):
    texts = polygon_texts(pa.array(shapely.to_wkb([shape]), pa.binary()))
    assert texts is None or json.loads(texts[0]) == []


@pytest.mark.usefixtures("built")
def test_a_cut_polygon_is_not_read_beyond_its_end():
    content = shapely.to_wkb(shapely.box(0, 0, 1, 1))
    assert polygon_texts(pa.array([content], pa.binary())) is not None
    assert polygon_texts(pa.array([content[:-1]], pa.binary())) is None
    assert polygon_texts(pa.array([content + b"0"], pa.binary())) is None


def test_uuids_are_those_of_the_standard_library():
    ids = [1, 2, 77, 2**31]
    assert object_uuids("slide ä", ids) == [str(uuid.uuid5(NAMESPACE, f"slide ä/{i}")) for i in ids]


def test_members_of_shards_make_the_file_of_all_tables(tmp_path):
    tables = [table_of(polygons_near(4, 10), np.array(SPECIAL), first) for first in (1, 6)]
    paths = [tmp_path / "0", tmp_path / "1"]
    for i, (path, table) in enumerate(zip(paths, tables, strict=True)):
        path.write_bytes(nuclei_member(table, "slide", {}, is_first=i == 0))
    join_members(tmp_path / "joined", paths)
    assert write_nuclei_geojson(tmp_path / "whole", tables, "slide") == 10
    assert (tmp_path / "joined").read_bytes() == (tmp_path / "whole").read_bytes()
    features = json.loads(gzip.decompress((tmp_path / "joined").read_bytes()))["features"]
    assert [feature["properties"]["nucleus_id"] for feature in features] == [*range(1, 11)]


def test_a_second_member_that_claims_to_be_the_first_breaks_the_file(tmp_path):
    """Sister: the comma between shards is needed."""
    table = table_of(polygons_near(1, 10), np.array(SPECIAL))
    (tmp_path / "part").write_bytes(nuclei_member(table, "slide", {}, is_first=True))
    join_members(tmp_path / "joined", [tmp_path / "part", tmp_path / "part"])
    with pytest.raises(json.JSONDecodeError):
        json.loads(gzip.decompress((tmp_path / "joined").read_bytes()))
