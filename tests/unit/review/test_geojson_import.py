"""Export to GeoJSON, as QuPath writes it, and import: only what a person edited changes."""

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import shapely

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.review import Session
from wsipipe.review.export import export_review
from wsipipe.review.geojson_import import import_geojson
from wsipipe.review.sample import SIDE_PX
from wsipipe.store.result import Result

WHOLE = Region(0, 0, SIDE_PX, SIDE_PX)


def features_of(path: Path) -> list[dict]:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)["features"]


def through_qupath(features: list[dict]) -> list[dict]:
    """Objects as QuPath 0.5 exports them: without foreign keys, rounded, rings with another start."""
    back = []
    for feature in features:
        properties = {k: v for k, v in feature["properties"].items() if k != "nucleus_id"}
        properties["isLocked"] = False
        rings = [[*ring[2:-1], *ring[:3]] for ring in feature["geometry"]["coordinates"]]
        rings = [[[round(x, 2), round(y, 2)] for x, y in ring] for ring in rings]
        geometry = {"type": "Polygon", "coordinates": rings}
        back.append({"type": "Feature", "id": feature["id"], "geometry": geometry, "properties": properties})
    return back


def write(tmp_path: Path, features: list[dict]) -> Path:
    path = tmp_path / "edited.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture
def nuclei(slide: Result) -> list[dict]:
    return through_qupath(features_of(slide.folder / "nuclei.geojson.gz"))


@pytest.fixture
def tissue(slide: Result) -> list[dict]:
    return through_qupath(features_of(slide.folder / "tissue_class.geojson"))


def test_untouched_files_change_nothing(session, nuclei, tissue, tmp_path) -> None:
    done = import_geojson(session, write(tmp_path, nuclei), complete=True)
    assert done == {"unchanged": len(nuclei)}
    done = import_geojson(session, write(tmp_path, tissue))
    assert set(done) == {"unchanged tissue"}
    assert not session.history.done


def test_edits_come_back_with_ids_classes_and_areas(session, nuclei, tissue, tmp_path, published) -> None:
    before = {int(f["properties"]["name"]): f for f in nuclei}
    outline = shapely.from_geojson(json.dumps(before[20]["geometry"])).buffer(3)
    before[20]["geometry"] = json.loads(shapely.to_geojson(outline))
    before[30]["properties"]["classification"]["name"] = "Nucleus: mitosis"
    del before[40]
    new = {"type": "Polygon", "coordinates": [[[200, 200], [260, 200], [260, 260], [200, 260], [200, 200]]]}
    properties = {"objectType": "detection", "classification": {"name": "Nucleus: gland"}}
    edited = [*before.values(), {"type": "Feature", "geometry": new, "properties": properties}]
    done = import_geojson(session, write(tmp_path, edited), complete=True)
    assert done == {"unchanged": len(nuclei) - 3, "paint": 1, "relabel": 1, "draw": 1, "delete": 1}
    assert session.area_px(20) > (published == 20).sum()
    assert session.area_px(20) == pytest.approx(outline.area / 4, rel=0.1)
    assert session.class_of(30) == "mitosis"
    assert session.area_px(40) == 0
    assert session.area_px(int(published.max()) + 1) == 900
    assert session.class_of(int(published.max()) + 1) == "gland"


def test_out_and_back_of_a_review_is_the_review(session, slide, nuclei, random_edit, tmp_path) -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        random_edit(session, rng)
    folder = export_review(session).folder
    with Session.open(slide.folder, "bob") as bob:
        path = write(tmp_path, through_qupath(features_of(folder / "nuclei_reviewed.geojson.gz")))
        import_geojson(bob, path, complete=True)
        import_geojson(
            bob, write(tmp_path, through_qupath(features_of(folder / "tissue_class_reviewed.geojson")))
        )
        mine, theirs = session.labels(WHOLE), bob.labels(WHOLE)
        np.testing.assert_array_equal(mine > 0, theirs > 0)
        pairs = np.unique(np.stack([mine.ravel(), theirs.ravel()]), axis=1)
        assert np.unique(pairs[0]).size == pairs.shape[1] == np.unique(pairs[1]).size
        known = session.published.nuclei.highest_id
        assert all(one == other for one, other in pairs.T.tolist() if one <= known)
        for one, other in pairs.T.tolist():
            if one:
                assert session.class_of(one) in (bob.class_of(other), "")
        np.testing.assert_array_equal(bob.tissue(), session.tissue())


def test_a_selection_deletes_nothing(session, nuclei, tmp_path) -> None:
    done = import_geojson(session, write(tmp_path, nuclei[:10]))
    assert done == {"unchanged": 10, "missing": len(nuclei) - 10}
    assert not session.history.done


def test_a_file_that_is_no_geojson_of_polygons_is_refused(session, nuclei, tmp_path) -> None:
    path = tmp_path / "bad.geojson"
    path.write_text("{")
    with pytest.raises(ConfigError, match="could not be read"):
        import_geojson(session, path)
    path.write_text("{}")
    with pytest.raises(ConfigError, match="no features"):
        import_geojson(session, path)
    with pytest.raises(ConfigError, match="1 Point without area"):
        import_geojson(session, write(tmp_path, [POINT]))
    for feature in nuclei:
        feature["geometry"]["coordinates"] = FAR_AWAY
    with pytest.raises(ConfigError, match=r"outside the slide\. It may belong to another slide"):
        import_geojson(session, write(tmp_path, nuclei), complete=True)
    assert not session.history.done


POINT = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [1, 2]},
    "properties": {"name": None},
}
FAR_AWAY = [[[9e5, 9e5], [9.1e5, 9e5], [9e5, 9.1e5], [9e5, 9e5]]]


def test_bad_features_are_counted_and_delete_nothing(session, nuclei, tissue, tmp_path) -> None:
    nuclei[0]["geometry"]["coordinates"] = FAR_AWAY
    nuclei[1]["geometry"] = None
    x, y = nuclei[2]["geometry"]["coordinates"][0][0]
    nuclei[2]["geometry"]["coordinates"] = [[[x, y], [x + 0.1, y], [x, y + 0.1], [x, y]]]
    huge = {"type": "Polygon", "coordinates": [[[-1e9, 300], [1e9, 300], [0, 1e9], [-1e9, 300]]]}
    tissue[0]["properties"]["classification"]["name"] = "bone"
    tissue[1]["geometry"] = {"type": "Polygon", "coordinates": huge["coordinates"]}
    tile = {"type": "Feature", "geometry": nuclei[3]["geometry"], "properties": {"objectType": "tile"}}
    region = {
        "type": "Feature",
        "geometry": nuclei[3]["geometry"],
        "properties": {"objectType": "annotation"},
    }
    done = import_geojson(session, write(tmp_path, [POINT, tile, region, *nuclei, *tissue]), complete=True)
    acts = {kind: count for kind, count in done.items() if not kind.startswith("left out")}
    assert acts == {"unchanged": len(nuclei) - 3, "tissue": 1}
    assert {kind: count for kind, count in done.items() if kind.startswith("left out")} == {
        "left out: Point without area": 1,
        "left out: without geometry": 1,
        "left out: outside the slide": 1,
        "left out: too small for a pixel of the slide": 1,
        "left out: tiles (superpixels)": 1,
        "left out: annotations without a class; the model knows stroma, gland": 1,
        "left out: annotations of the class 'bone'; the model knows stroma, gland": 1,
    }
    assert all(session.area_px(int(i)) > 0 for i in session.published.nuclei.ids)


def test_tissue_of_an_unknown_class_is_refused(session, tissue, tmp_path) -> None:
    tissue[0]["properties"]["classification"]["name"] = "bone"
    with pytest.raises(ConfigError, match="the model knows stroma, gland"):
        import_geojson(session, write(tmp_path, tissue[:1]))


@pytest.mark.parametrize(
    ("classification", "name"),
    [
        ({"names": ["Nucleus", "mitosis"], "color": [1, 2, 3]}, "mitosis"),
        ({"names": ["Nucleus", "gland", "Positive"]}, "gland: Positive"),
        ({"parentClass": {"name": "Nucleus"}, "name": "mitosis", "colorRGB": -1}, "mitosis"),
        ({"name": "Nucleus:mitosis"}, "mitosis"),
        ({"name": "mitosis"}, "mitosis"),
        ("Nucleus: mitosis", "mitosis"),
    ],
)
def test_derived_classes_arrive(session, nuclei, tmp_path, classification, name) -> None:
    nuclei[20]["properties"]["classification"] = classification
    done = import_geojson(session, write(tmp_path, nuclei))
    assert done == {"unchanged": len(nuclei) - 1, "relabel": 1}
    assert session.class_of(int(nuclei[20]["properties"]["name"])) == name


def as_qupath_writes_now(features: list[dict]) -> list[dict]:
    """Classes as names, an RGB colour; measurements and locks may be absent (0.4 to 0.6)."""
    for feature in features:
        about = feature["properties"]
        names = about["classification"]["name"].split(": ")
        about["classification"] = ({"names": names} if len(names) > 1 else {"name": names[0]}) | {
            "color": [200, 0, 0]
        }
        del about["isLocked"]
        feature["geometry"]["plane"] = {"c": -1, "z": 0, "t": 0}
    return features


@pytest.mark.parametrize("way", ["collection", "list", "zip"])
def test_untouched_files_of_new_qupath_change_nothing(session, nuclei, tissue, tmp_path, way) -> None:
    objects = as_qupath_writes_now([*nuclei, *tissue])
    assert sum("names" in one["properties"]["classification"] for one in objects) > 10
    content = {"type": "FeatureCollection", "features": objects} if way == "collection" else objects
    path = tmp_path / "edited"
    path.write_text(json.dumps(content))
    if way == "zip":
        with zipfile.ZipFile(tmp_path / "edited.zip", "w") as archive:
            archive.write(path, "edited.geojson")
        path = tmp_path / "edited.zip"
    done = import_geojson(session, path, complete=True)
    assert done == {"unchanged": len(nuclei), "unchanged tissue": len(tissue)}


def test_a_nucleus_whose_name_was_typed_over_is_known_by_its_id(session, nuclei, tmp_path) -> None:
    nuclei[4]["properties"]["name"] = "the odd one"
    nuclei[5]["properties"]["name"] = None
    del nuclei[6]["properties"]["name"]
    assert import_geojson(session, write(tmp_path, nuclei), complete=True) == {"unchanged": len(nuclei)}
    nuclei[6]["id"] = "typed over too"
    done = import_geojson(session, write(tmp_path, nuclei))
    assert done == {"unchanged": len(nuclei) - 1, "draw": 1}


def test_of_a_cell_the_nucleus_counts(session, nuclei, published, tmp_path) -> None:
    for feature in nuclei:
        feature["nucleusGeometry"] = feature["geometry"]
        outline = shapely.from_geojson(json.dumps(feature["geometry"])).buffer(6)
        feature["geometry"] = json.loads(shapely.to_geojson(outline))
        feature["properties"]["objectType"] = "cell"
    assert import_geojson(session, write(tmp_path, nuclei)) == {"unchanged": len(nuclei)}
