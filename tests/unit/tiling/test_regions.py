"""Regions of interest are read by name, without what is excluded; what is no region is an error."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from wsipipe.errors import SlideError
from wsipipe.tiling.regions import ALL_BUT, read_regions

EXTENT = (100.0, 200.0)


def feature(box: tuple[float, float, float, float], **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": json.loads(shapely.to_geojson(shapely.box(*box))),
        "properties": properties,
    }


def read(folder: Path, content: Any) -> dict[str, shapely.Geometry]:
    path = folder / "regions.geojson"
    path.write_text(json.dumps(content))
    return read_regions(path, EXTENT)


def in_class(name: str) -> dict[str, Any]:
    return {"objectType": "annotation", "classification": {"name": name, "color": [200, 0, 0]}}


def test_annotations_of_one_name_are_one_region_without_excluded_areas(tmp_path: Path) -> None:
    features = [
        feature((0, 0, 10, 10), **in_class("Tumor")),
        feature((20, 0, 30, 10), **in_class("Tumor")),
        feature((0, 50, 10, 60), name="Edge", **in_class("Tumor")),
        feature((5, 0, 25, 10), **in_class("Ignore*")),
        feature((0, 0, 200, 100), objectType="detection"),
    ]
    found = read(tmp_path, {"type": "FeatureCollection", "features": features})
    assert {name: polygon.area for name, polygon in found.items()} == {"Tumor": 100, "Edge": 100}
    assert shapely.equals(found["Tumor"], shapely.union(shapely.box(0, 0, 5, 10), shapely.box(25, 0, 30, 10)))


def test_a_file_that_only_excludes_has_all_but_that(tmp_path: Path) -> None:
    found = read(tmp_path, [feature((0, 0, 100, 100), name="excluded: ink")])
    assert {name: polygon.area for name, polygon in found.items()} == {ALL_BUT: 10_000}


def test_single_features_and_gzip_are_read_and_names_are_made(tmp_path: Path) -> None:
    path = tmp_path / "x.geojson.gz"
    path.write_bytes(gzip.compress(json.dumps(feature((1, 2, 3, 5))).encode()))
    found = read_regions(path, EXTENT)
    assert {name: polygon.bounds for name, polygon in found.items()} == {"region 1": (1, 2, 3, 5)}


CROSSING = [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "no annotations"),
        ({"a": 1}, "beside|not a polygon|no annotations|not readable"),
        ("text", "not readable as GeoJSON"),
        ([feature((300, 0, 310, 10), name="far")], r"far \(feature 1\) lies outside the slide.*200 x 100"),
        ([{"geometry": {"type": "Point", "coordinates": [1, 2]}}], "is a Point, not a polygon"),
        ([{"geometry": {"type": "Polygon", "coordinates": CROSSING}}], "no valid polygon.*Self-intersection"),
        ([{"geometry": {"type": "Polygon", "coordinates": []}}], "empty"),
        ([{"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}], "not readable"),
        ([{"geometry": None}], "is a None, not a polygon"),
    ],
)
def test_what_is_no_region_is_an_error(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(SlideError, match=said):
        read(tmp_path, content)


def test_unreadable_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "cut.geojson").write_text('{"type": "Fea')
    for name in ("cut.geojson", "absent.geojson"):
        with pytest.raises(SlideError, match="not readable as GeoJSON"):
            read_regions(tmp_path / name, EXTENT)
