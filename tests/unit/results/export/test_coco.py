"""COCO instances have the place, size and shape of the nuclei in the stored image."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from wsipipe.results.export import coco, source
from wsipipe.results.export.source import ExportOptions, ExportSource, open_source
from wsipipe.store.result import Result


@pytest.fixture
def written(source: ExportSource, tmp_path: Path) -> dict:
    coco.write(source, tmp_path / "coco.json")
    return json.loads((tmp_path / "coco.json").read_text())


def test_every_nucleus_is_an_annotation(written: dict, pristine: Result) -> None:
    nuclei = pristine.nuclei
    annotations = written["annotations"]
    assert [one["id"] for one in annotations] == nuclei.id.tolist()
    (image,) = written["images"]
    assert (image["height"], image["width"]) == (512, 512)
    names = {one["id"]: one["name"] for one in written["categories"]}
    assert list(names.values()) == ["nucleus", "stroma", "gland"]
    assert [names[one["category_id"]] for one in annotations] == [
        name if isinstance(name, str) else "nucleus" for name in nuclei.tissue_class
    ]
    assert {one["image_id"] for one in annotations} == {image["id"]}


def test_outlines_are_in_px_of_the_image(written: dict, pristine: Result) -> None:
    # Level 0 has 2 px per px of the image.
    polygons = pristine.nuclei.polygon.to_numpy()
    for one, polygon in zip(written["annotations"], polygons, strict=True):
        ring = np.array(one["segmentation"][0]).reshape(-1, 2)
        assert shapely.Polygon(ring).equals(shapely.transform(polygon, lambda points: points / 2))
        x, y, width, height = one["bbox"]
        assert shapely.box(x, y, x + width, y + height).equals(shapely.Polygon(ring).envelope)
        assert one["area"] == pytest.approx(polygon.area / 4, abs=0.01)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_finds_the_labels(written: dict, pristine: Result, tmp_path: Path) -> None:
    tools = pytest.importorskip(
        "pycocotools.coco", reason="LOUD SKIP: no pycocotools here, so no other reader reads the COCO file"
    )
    found = tools.COCO(str(tmp_path / "coco.json"))
    labels = np.asarray(pristine.arrays.labels["nuclei"][0][...])
    for one in found.loadAnns(found.getAnnIds()):
        mask, stored = found.annToMask(one) > 0, labels == one["id"]
        # Its masks have px on the outline too.
        assert (mask & stored).sum() / (mask | stored).sum() > 0.7
    assert len(found.getAnnIds(catIds=[3])) == (pristine.nuclei.tissue_class == "gland").sum()


def test_tables_are_joined_with_commas(
    pristine: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_BATCH_ROWS", 10)
    chosen = open_source(pristine.folder, ExportOptions(min_probability=0.9))
    count = coco.write(chosen, tmp_path / "some.json")
    assert len(json.loads((tmp_path / "some.json").read_text())["annotations"]) == count > 20
    none = open_source(pristine.folder, ExportOptions(min_probability=1.1))
    assert coco.write(none, tmp_path / "none.json") == 0
    assert json.loads((tmp_path / "none.json").read_text())["annotations"] == []


def test_a_hole_is_joined_by_a_cut() -> None:
    square = [(0, 0), (9, 0), (9, 9), (0, 9)]
    holes = [[(2, 2), (4, 2), (4, 4), (2, 4)], [(6, 6), (8, 6), (8, 8), (6, 8)]]
    polygon = shapely.Polygon(square, holes)
    ring = coco.one_ring(polygon)
    x, y = ring.T
    # The area by the shoelace formula is that without the holes; an outline alone would have 81.
    assert abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2 == polygon.area == 73
    assert len(ring) == 4 + 2 * (4 + 2)
    assert coco.one_ring(shapely.Polygon(square)).tolist() != ring.tolist()
