"""Every form in which QuPath writes objects is read alike; a bad object costs no other."""

import gzip
import json
import math
import zipfile
from pathlib import Path

import pytest
import shapely

from wsipipe.errors import ConfigError
from wsipipe.store.geojson_files import holds_geojson
from wsipipe.store.geojson_objects import described, label_of, left_out, read_objects

RING = [[10, 10], [30, 10], [30, 20], [10, 20], [10, 10]]
INNER = [[14, 12], [20, 12], [20, 18], [14, 18], [14, 12]]
SQUARE = {"type": "Polygon", "coordinates": [RING]}
UUID = "0f0e0d0c-1111-4222-8333-444455556666"


def feature(geometry: object = SQUARE, **properties: object) -> dict:
    return {"type": "Feature", "id": UUID, "geometry": geometry, "properties": properties}


def written(folder: Path, content: object) -> Path:
    path = folder / "objects.geojson"
    path.write_text(json.dumps(content))
    return path


V02 = {  # the type as the id, measurements as a list
    "type": "Feature",
    "id": "PathDetectionObject",
    "geometry": SQUARE,
    "properties": {
        "classification": {"name": "Tumor", "colorRGB": -3670016},
        "isLocked": False,
        "measurements": [{"name": "Area", "value": 200.0}],
    },
}
V03 = feature(
    object_type="detection",
    classification={"parentClass": {"name": "Nucleus", "colorRGB": -1}, "name": "Tumor", "colorRGB": -377282},
    isLocked=True,
    measurements=[{"name": "Area", "value": math.nan}],
)
V04 = feature(
    {**SQUARE, "plane": {"c": -1, "z": 0, "t": 0}},
    objectType="detection",
    name="12",
    color=[255, 0, 0],
    classification={"names": ["Nucleus", "Tumor"], "color": [200, 0, 0]},
    measurements={"Area": 200.0, "Bad": math.nan},
)
V05 = feature(
    {**SQUARE, "isEllipse": True},
    objectType="annotation",
    classification={"names": ["Nucleus", "Tumor", "Positive"], "color": [200, 0, 0, 128]},
    isLocked=True,
    metadata={"note": "looked at"},
)
V06_CELL = {
    "type": "Feature",
    "id": UUID,
    "geometry": SQUARE,
    "nucleusGeometry": {"type": "Polygon", "coordinates": [INNER]},
    "properties": {"objectType": "cell", "classification": {"name": "Tumor", "color": [200, 0, 0]}},
}


@pytest.mark.parametrize(
    ("stored", "kind", "label", "number"),
    [
        (V02, "detection", "Tumor", 0),
        (V03, "detection", "Nucleus: Tumor", 0),
        (V04, "detection", "Nucleus: Tumor", 12),
        (V05, "annotation", "Nucleus: Tumor: Positive", 0),
        (V06_CELL, "cell", "Tumor", 0),
    ],
    ids=["0.2", "0.3", "0.4", "0.5", "0.6 cell"],
)
@pytest.mark.parametrize("wrapped", ["collection", "list", "single"])
def test_forms_of_qupath(tmp_path: Path, stored, kind, label, number, wrapped) -> None:
    whole = {"type": "FeatureCollection", "features": [stored]}
    content = {"collection": whole, "list": [stored], "single": stored}[wrapped]
    (one,) = read_objects(written(tmp_path, content))
    assert (one.kind, one.label, one.number, one.problem) == (kind, label, number, "")
    assert one.outline.equals(shapely.box(10, 10, 30, 20))
    assert (one.nucleus is not None) == (kind == "cell")


def test_a_cell_has_its_nucleus(tmp_path: Path) -> None:
    (one,) = read_objects(written(tmp_path, V06_CELL))
    assert one.nucleus.equals(shapely.box(14, 12, 20, 18))


@pytest.mark.parametrize(
    ("classification", "label"),
    [
        ({"name": "Tumor"}, "Tumor"),
        ({"name": "Nucleus: Tumor"}, "Nucleus: Tumor"),
        ({"names": ["Nucleus", "Tumor"]}, "Nucleus: Tumor"),
        ({"names": ["Tumor"], "color": [1, 2, 3]}, "Tumor"),
        ({"parentClass": {"parentClass": {"name": "A"}, "name": "B"}, "name": "C"}, "A: B: C"),
        ("Nucleus: Tumor", "Nucleus: Tumor"),
        (["Nucleus", "Tumor"], "Nucleus: Tumor"),
        ({"name": 3}, "3"),
        ({"name": None}, ""),
        ({"names": []}, ""),
        ({"names": [None, "Tumor"]}, "Tumor"),
        ({}, ""),
        (None, ""),
        (True, ""),
    ],
)
def test_classes(classification: object, label: str) -> None:
    assert label_of(classification) == label


@pytest.mark.parametrize(
    ("about", "number"),
    [
        ({"nucleus_id": 7}, 7),
        ({"nucleus_id": "7"}, 7),
        ({"nucleus_id": 7.0}, 7),
        ({"nucleus_id": None, "name": "7"}, 7),
        ({"nucleus_id": "PathCell", "name": 7}, 7),
        ({"name": None}, 0),
        ({"name": "my nucleus"}, 0),
        ({"name": "-7"}, 0),
        ({"name": 7.5}, 0),
        ({"name": "²"}, 0),
        ({"name": True}, 0),
        ({"name": ["7"]}, 0),
        ({"name": "99999999999"}, 0),
        ({"nucleus_id": 2**32}, 0),
    ],
)
def test_numbers_of_nuclei(tmp_path: Path, about: dict, number: int) -> None:
    (one,) = read_objects(written(tmp_path, [feature(**about)]))
    assert (one.number, one.problem) == (number, "")


@pytest.mark.parametrize("identity", [None, 5, 5.5, "PathAnnotation", "five", [1], UUID])
def test_ids_of_features_may_be_anything(tmp_path: Path, identity: object) -> None:
    (one,) = read_objects(written(tmp_path, [feature() | {"id": identity}]))
    assert not one.problem


BAD = [
    (feature({"type": "Point", "coordinates": [1, 2]}), "Point without area"),
    (feature({"type": "MultiPoint", "coordinates": [[1, 2]]}), "MultiPoint without area"),
    (feature({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}), "LineString without area"),
    (feature({"type": "Polygon", "coordinates": []}), "Polygon without area"),
    (feature({"type": "GeometryCollection", "geometries": []}), "GeometryCollection without area"),
    (feature(None), "without geometry"),
    ({"type": "Feature", "properties": {}}, "without geometry"),
    (feature({"type": "Polygon"}), "with a geometry that cannot be read"),
    (feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}), "with a geometry that cannot be read"),
    (feature({"type": "Circle", "coordinates": [1, 2]}), "with a geometry that cannot be read"),
    (feature([1, 2]), "with a geometry that cannot be read"),
    (
        feature({"type": "Polygon", "coordinates": [[[0, 0], [math.nan, 5], [5, 5], [0, 0]]]}),
        "with coordinates that no slide has",
    ),
    (
        feature({"type": "Polygon", "coordinates": [[[0, 0], [1e300, 5], [5, 1e300], [0, 0]]]}),
        "with coordinates that no slide has",
    ),
    (feature(objectType="tmaCore"), "TMA cores"),
    ("nonsense", "that are no GeoJSON features"),
    (None, "that are no GeoJSON features"),
]


@pytest.mark.parametrize(("bad", "problem"), BAD)
def test_one_bad_object_costs_no_other(tmp_path: Path, bad: object, problem: str) -> None:
    objects = read_objects(written(tmp_path, [V04, bad, V05]))
    assert [one.problem for one in objects] == ["", problem, ""]
    assert left_out(objects) == {problem: 1}
    with pytest.raises(ConfigError, match=rf"no outline that can be used: 1 {problem}\. Export"):
        read_objects(written(tmp_path, [bad]))


@pytest.mark.parametrize(
    ("geometry", "area"),
    [
        ({"type": "MultiPolygon", "coordinates": [[RING], [[[50, 50], [60, 50], [60, 60], [50, 50]]]]}, 250),
        ({"type": "Polygon", "coordinates": [RING, INNER]}, 164),
        ({"type": "Polygon", "coordinates": [RING[:-1]]}, 200),
        ({"type": "Polygon", "coordinates": [[[x, y, 0] for x, y in RING]]}, 200),
        ({"type": "Polygon", "coordinates": [[[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]]]}, 8),
        (
            {"type": "GeometryCollection", "geometries": [SQUARE, {"type": "Point", "coordinates": [1, 2]}]},
            200,
        ),
        (
            {
                "type": "GeometryCollection",
                "geometries": [{"type": "GeometryCollection", "geometries": [SQUARE]}, SQUARE],
            },
            200,
        ),
    ],
    ids=["multi", "hole", "open", "3d", "crossed", "collection", "nested"],
)
def test_shapes(tmp_path: Path, geometry: dict, area: float) -> None:
    (one,) = read_objects(written(tmp_path, [feature(geometry)]))
    assert one.outline.is_valid
    assert one.outline.geom_type in ("Polygon", "MultiPolygon")
    assert one.outline.area == area


def test_children_are_read_and_the_root_is_not_counted(tmp_path: Path) -> None:
    parent = feature(objectType="annotation", childObjects=[V04, feature(children=[V02])])
    root = {
        "type": "Feature",
        "geometry": None,
        "properties": {"objectType": "root", "childObjects": [parent]},
    }
    objects = read_objects(written(tmp_path, root))
    assert [one.kind for one in objects] == ["annotation", "detection", "", "detection"]
    assert not left_out(objects)


@pytest.mark.parametrize("way", ["plain", "bom", "gzip", "zip"])
def test_files_of_every_kind(tmp_path: Path, way: str) -> None:
    path, text = tmp_path / "objects", json.dumps([V04]).encode()
    if way == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("objects.geojson", text)
            archive.writestr("__MACOSX/._objects.geojson", b"\x00")
    else:
        path.write_bytes({"plain": text, "bom": b"\xef\xbb\xbf" + text, "gzip": gzip.compress(text)}[way])
    (one,) = read_objects(path)
    assert one.number == 12
    assert holds_geojson(path) == (way == "zip")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "could not be read as GeoJSON"),
        (b"", "could not be read as GeoJSON"),
        (b"\xff\xfe\x00", "could not be read as GeoJSON"),
        (b"[" * 100_000, "could not be read as GeoJSON"),
        (gzip.compress(b"[]" * 999, mtime=0)[:-9], "could not be read as GeoJSON"),
        (b"\x1f\x8b\x08\x00nonsense", "could not be read as GeoJSON"),
        (b"PK\x03\x04nonsense", "could not be read as GeoJSON"),
        (b"{}", "holds no features"),
        (b"3", "holds no features"),
        (b"[]", "it is empty"),
    ],
)
def test_a_file_without_objects_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(ConfigError, match=f"bad.*{said}.*xport"):
        read_objects(tmp_path / "bad")


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.geojson"):
        with pytest.raises(ConfigError, match=r"could not be opened: .* Check the name\."):
            read_objects(path)


def test_an_archive_without_geojson_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("picture.png", b"")
    with pytest.raises(ConfigError, match=r"without a \.geojson file"):
        read_objects(tmp_path / "a.zip")


def test_a_description_is_short() -> None:
    problems = {str(letter): count for count, letter in enumerate("abcdefgh", start=1)}
    assert described(problems) == "8 h, 7 g, 6 f, 5 e, 4 d, 6 with other problems"
