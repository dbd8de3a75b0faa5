"""A result is compared with results, label files and GeoJSON of the slide; what cannot be is refused."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from wsipipe.common.colours import EXTRA, MATCHED, MISSED
from wsipipe.errors import ConfigError, ExitCode, NoResultError, WsipipeError
from wsipipe.results.compare import compare as module
from wsipipe.results.compare.compare import compare, write_comparison
from wsipipe.results.compare.window import worst_window
from wsipipe.results.export.formats import export_result
from wsipipe.store.names import NUCLEI_GEOJSON
from wsipipe.store.result import Result

PERFECT = {"dice": 1, "aji": 1, "pq": 1, "f1": 1, "missed": 0, "extra": 0}


@pytest.fixture(scope="module")
def labels(pristine: Result) -> np.ndarray:
    return np.asarray(pristine.arrays.labels["nuclei"][0][...])


def changed(labels: np.ndarray) -> np.ndarray:
    """Without nuclei 1, 2 and 3, and with one more in the corner, 1000."""
    other = labels.copy()
    other[labels < 4] = 0
    other[500:510, 0:10] = 1000
    return other


def write(path: Path, labels: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, labels)
    elif path.suffix == ".png":
        Image.fromarray(labels.astype(np.uint16)).save(path)
    elif path.suffix == ".zarr":
        zarr.create_array(path, data=labels)
    else:
        tifffile.imwrite(path, labels, tile=(64, 64))
    return path


@pytest.mark.parametrize("name", ["l.npy", "l.png", "l.tif", "l.zarr"])
def test_label_files_of_every_kind(pristine: Result, labels: np.ndarray, tmp_path: Path, name: str) -> None:
    found = compare(pristine.folder, write(tmp_path / name, changed(labels)))
    count = int(labels.max())
    assert found.scores["reference"] == count - 2
    assert (found.scores["matched"], found.scores["missed"], found.scores["extra"]) == (count - 3, 1, 3)
    assert [one["id"] for one in found.as_json()["extra"]] == [1, 2, 3]
    # Level 0 has two px per px.
    assert found.as_json()["missed"] == [{"id": 1000, "y": 1010.0, "x": 10.0}]
    assert found.by_class == found.confusion == {}


def test_own_exports_are_the_same_nuclei(slide: Result) -> None:
    for name in ("ome-tiff", "ome-zarr", "geojson"):
        path = export_result(name, slide.folder).path
        other = path / "labels" / "nuclei" if name == "ome-zarr" else path
        scores = compare(slide.folder, other).scores
        assert {key: scores[key] for key in PERFECT} == PERFECT


def test_another_result_with_classes(pristine: Result) -> None:
    found = compare(pristine.folder, pristine.store)
    named = pristine.nuclei.tissue_class.value_counts()
    assert found.confusion["gland"] == {"gland": named["gland"]}
    assert {name: one["matched"] for name, one in found.by_class.items()} == named.to_dict()
    assert found.by_class["stroma"]["pq"] == 1


def test_geojson_has_classes_and_says_what_it_leaves_out(pristine: Result, tmp_path: Path) -> None:
    content = json.loads(gzip.decompress((pristine.folder / NUCLEI_GEOJSON).read_bytes()))
    features = content["features"]
    features[0]["properties"]["classification"] = {"name": "Nucleus: gland"}
    for feature in features[2:]:
        # As annotations drawn by a person.
        feature["properties"]["objectType"] = "annotation"
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}, "properties": {}}
    square = [[-50, -50], [-40, -50], [-40, -40], [-50, -50]]
    away = {"type": "Polygon", "coordinates": [square]}
    tile = {"objectType": "tile"}
    features += [point, features[0] | {"geometry": away}, features[0] | {"properties": tile}]
    (tmp_path / "n.geojson").write_text(json.dumps(content))
    found = compare(pristine.folder, tmp_path / "n.geojson")
    assert found.scores["pq"] == 1
    assert found.scores["reference"] == len(pristine.nuclei)
    assert dict(found.other.left_out) == {
        "Point without area": 1,
        "that are no nuclei": 1,
        "outside the slide": 1,
    }
    assert sum(found.confusion["gland"].values()) - found.confusion["gland"].get("gland", 0) in (0, 1)


def test_annotations_are_nuclei_where_there_is_nothing_else(pristine: Result, tmp_path: Path) -> None:
    ring = [[100, 100], [140, 100], [140, 140], [100, 140], [100, 100]]
    drawn = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    drawn["properties"] = {"objectType": "annotation", "classification": {"name": "Tumor"}}
    (tmp_path / "a.json").write_text(json.dumps([drawn]))
    found = compare(pristine.folder, tmp_path / "a.json")
    assert found.scores["reference"] == 1
    assert found.tally.true.areas.tolist() == [20 * 20]
    assert set(found.by_class) == {"Tumor", "gland", "stroma"}


def test_a_region_of_level_0(pristine: Result, labels: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "l.npy", changed(labels))
    found = compare(pristine.folder, path, (960, 0, 64, 64))
    part = labels[480:512, 0:32]
    assert found.region.slices == (slice(480, 512), slice(0, 32))
    assert found.scores["result"] == len(np.unique(part[part > 0]))
    assert found.scores["missed"] >= 1
    with pytest.raises(ConfigError, match="--region 9000,0,5,5 holds no px of the result"):
        compare(pristine.folder, path, (9000, 0, 5, 5))


def test_what_is_no_reference_is_refused(pristine: Result, labels: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "broken.tif").write_bytes(b"nothing")
    (tmp_path / "far.geojson").write_text(
        '{"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[9000,0],[9009,0],[9009,9],[9000,0]]]},'
        '"properties":{}}'
    )
    (tmp_path / "folder").mkdir()
    for path, said in (
        (tmp_path / "absent.tif", "does not exist"),
        (tmp_path / "broken.tif", "could not be read as a label map"),
        (tmp_path / "folder", "could not be read as a label map"),
        (tmp_path / "far.geojson", "no nuclei inside the slide: 1 outside the slide"),
        (
            write(tmp_path / "small.npy", labels[:99]),
            "is 99 x 512 px, but the nuclei of the result are 512 x 512",
        ),
        (write(tmp_path / "float.npy", labels.astype(float)), "is no label map: .* type float64"),
        (write(tmp_path / "rgb.npy", np.zeros((512, 512, 3), np.uint8)), "is no label map: it has shape"),
        (write(tmp_path / "minus.npy", labels.astype(np.int64) - 1), "holds ids from -1"),
        (write(tmp_path / "mask.npy", np.uint8(255) * (labels > 0)), "looks like a mask"),
        (pristine.folder / "overview.svg", "does not exist"),
        (pristine.folder / "nuclei.parquet", "is of no known kind"),
    ):
        with pytest.raises(ConfigError, match=said):
            compare(pristine.folder, path)


def test_results_of_other_grids_are_refused(
    slide: Result, pristine: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = zarr.open_group(slide.store, mode="r+")
    group.attrs["wsipipe"] = dict(group.attrs["wsipipe"]) | {"level0_px_per_canvas_px": 1.0}
    with pytest.raises(ConfigError, match=r"different px grids\. .*nuclei\.geojson\.gz"):
        compare(pristine.folder, slide.folder)
    shutil.rmtree(slide.store / "labels" / "nuclei")
    # Nor does the other one need an image to be refused.
    for level in "01":
        shutil.rmtree(slide.store / level)
    for one, other in ((slide, pristine), (pristine, slide)):
        with pytest.raises(NoResultError, match="holds no nuclei"):
            compare(one.folder, other.folder)


def test_files_and_picture(typed: object, slide: Result, labels: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "l.npy", changed(labels))
    code, printed, _ = typed("compare", slide.folder, "--with", path, "--json")
    assert code == ExitCode.OK
    shown = json.loads(printed)
    folder = slide.folder / "comparisons" / "l.npy"
    assert shown["path"] == str(folder)
    assert sorted(each.name for each in folder.iterdir()) == ["comparison.json", "differences.png"]
    written = json.loads((folder / "comparison.json").read_text())
    assert written["scores"] == shown["scores"]
    picture = np.asarray(Image.open(folder / "differences.png").convert("RGB"))
    for colour in (MATCHED, MISSED, EXTRA):
        # More than the square in the legend.
        assert (picture == colour).all(axis=2).sum() > 22 * 16
    assert slide.damaged() == []
    code, _, stderr = typed("compare", slide.folder, "--with", path)
    assert code == ExitCode.USAGE
    assert "exists already" in stderr
    code, printed, _ = typed("compare", slide.folder, "--with", path, "--overwrite")
    assert printed.splitlines()[0].split() == [
        "nuclei",
        "reference",
        "result",
        "matched",
        "missed",
        "extra",
        "dice",
        "aji",
        "pq",
        "f1",
    ]


def test_without_an_image_the_picture_is_white(without_image: Result, tmp_path: Path) -> None:
    found = compare(without_image.folder, without_image.folder)
    folder = write_comparison(found, tmp_path / "out")
    picture = np.asarray(Image.open(folder / "differences.png").convert("RGB"))
    assert (picture == MATCHED).all(axis=2).any()
    # The legend alone has the colour of missed nuclei.
    assert (picture == MISSED).all(axis=2).sum() <= 23 * 17


def test_a_failed_picture_leaves_nothing(
    pristine: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise WsipipeError("no picture")

    monkeypatch.setattr(module, "draw_differences", fail)
    with pytest.raises(WsipipeError, match="no picture"):
        write_comparison(compare(pristine.folder, pristine.folder), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_window_has_the_most_differences(pristine: Result, labels: np.ndarray, tmp_path: Path) -> None:
    found = compare(pristine.folder, write(tmp_path / "l.npy", changed(labels)))
    window = worst_window(found.tally, found.region, 100)
    assert window.shape == (100, 100)
    tally = found.tally
    true, seen = tally.matches
    points = [(tally.true.y[i], tally.true.x[i]) for i in range(len(tally.true.ids)) if i not in true]
    points += [(tally.found.y[i], tally.found.x[i]) for i in range(len(tally.found.ids)) if i not in seen]

    def inside(y: int, x: int) -> int:
        return sum(y <= at[0] < y + 100 and x <= at[1] < x + 100 for at in points)

    most = max(inside(y, x) for y in range(0, 413, 50) for x in range(0, 413, 50))
    assert inside(window.y, window.x) == most > 0
    # Without a difference it is where the nuclei are.
    equal = compare(pristine.folder, pristine.folder)
    window = worst_window(equal.tally, equal.region, 100)
    assert len(np.unique(labels[window.slices])) > 15
