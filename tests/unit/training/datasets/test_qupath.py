"""QuPath annotations in newer forms as training data; a bad object does not drop a field."""

import json
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.training.datasets import qupath, read_fields, read_tiles
from wsipipe.training.datasets.annotated_slides import AnnotatedSlides, sources_of
from wsipipe.training.datasets.polygons import filled


def square(y: float, x: float, side: float) -> dict:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


def feature(geometry: object, classification: object = None, **more: object) -> dict:
    about = {"objectType": "annotation", "name": None, "classification": classification}
    return {"type": "Feature", "geometry": geometry, "properties": about} | more


REGION = feature(square(100, 200, 64), {"name": "Region*", "color": [1, 2, 3]})
DERIVED = feature(square(110, 210, 8), {"names": ["Nucleus", "Tumor"]})
CELL = feature(square(130, 230, 20), {"names": ["Nucleus", "Tumor"]}, nucleusGeometry=square(135, 235, 6))
POINT = feature({"type": "Point", "coordinates": [1, 2]}, {"name": "Tumor"}, id=5)


@pytest.fixture
def notes(tmp_path: Path, small_slide: Path) -> Path:
    (tmp_path / small_slide.name).symlink_to(small_slide)
    return tmp_path / f"{small_slide.stem}.geojson"


def test_derived_classes_and_cells_are_nuclei(notes: Path) -> None:
    tile = feature(square(150, 210, 10))
    tile["properties"]["objectType"] = "tile"
    ignored = feature(square(104, 250, 9), {"names": ["Nucleus", "Ignore*"]})
    notes.write_text(json.dumps([REGION, DERIVED, CELL, tile, ignored]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (field,) = read_fields(notes.parent)
    assert np.bincount(field.labels.ravel()).tolist() == [64 * 64 - 64 - 36, 64, 36]
    assert (field.labels[35:41, 35:41] == 2).all()


def test_derived_classes_of_tissue_keep_their_whole_name(notes: Path) -> None:
    notes.write_text(json.dumps([feature(square(0, 0, 512), {"names": ["Tumor", "Positive"]})]))
    (tile,) = read_tiles(notes.parent)
    assert tile.class_name == "Tumor: Positive"


def test_bad_objects_are_reported_and_left_out(notes: Path) -> None:
    broken = [POINT, feature(None), feature({"type": "Polygon"}), "nonsense"]
    notes.write_text(json.dumps({"type": "FeatureCollection", "features": [REGION, *broken, DERIVED]}))
    with pytest.warns(UserWarning, match=r"4 of 6 objects are left out: 1 Point without area, 1 that are no"):
        (field,) = read_fields(notes.parent)
    assert field.labels.max() == 1
    notes.write_text(json.dumps([POINT]))
    with pytest.raises(ConfigError, match=r"\n  \S*small.geojson holds no outline .*: 1 Point without area"):
        read_fields(notes.parent)


def test_an_outline_that_reaches_off_the_slide_ends_at_its_edge(notes: Path) -> None:
    far = [[[0, 0], [1e9, 0], [1e9, 1e9], [0, 1e9], [0, 0]]]
    notes.write_text(json.dumps([feature({"type": "Polygon", "coordinates": far}, {"name": "Tumor"})]))
    assert len(read_tiles(notes.parent)) == 4


def test_a_region_of_another_slide_is_refused(notes: Path) -> None:
    notes.write_text(json.dumps([feature(square(90_000, 0, 64), {"name": "Region*"}), DERIVED]))
    with pytest.raises(ConfigError, match=r"is outside .* this slide's"):
        read_fields(notes.parent)


@pytest.mark.parametrize("name", ["small.zip", "small.geojson.zip"])
def test_a_compressed_export_is_found(notes: Path, name: str) -> None:
    with zipfile.ZipFile(notes.parent / name, "w") as archive:
        archive.writestr("small.geojson", json.dumps([REGION, DERIVED]))
    (field,) = read_fields(notes.parent)
    assert field.labels.max() == 1


def test_another_archive_is_not_taken_for_annotations(notes: Path) -> None:
    with zipfile.ZipFile(notes.parent / "small.zip", "w") as archive:
        archive.writestr("small.png", b"")
    assert not qupath.fits(notes.parent)


class Scanned:
    """A slide whose scanned bounds do not begin at the frame's corner, as of MIRAX."""

    mpp, bounds = 0.25, Region(3000, 2000, 4096, 4096)

    def __init__(self, path: Path) -> None:
        self.path, self.asked = path, []

    def __enter__(self) -> "Scanned":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, region: Region, mpp: float) -> np.ndarray:
        self.asked.append((region, mpp))
        return np.zeros((*region.shape, 3), np.uint8)


def test_places_count_from_the_corner_of_the_scanned_bounds_as_in_qupath(notes: Path, monkeypatch) -> None:
    slides: list[Scanned] = []
    monkeypatch.setattr(qupath, "open_slide", lambda path: slides.append(Scanned(path)) or slides[-1])
    notes.write_text(json.dumps([REGION, DERIVED, feature(square(512, 1024, 512), {"name": "Tumor"})]))
    read_fields(notes.parent)
    read_tiles(notes.parent)
    assert slides[0].asked == [(Region(100, 200, 64, 64), 0.25)]
    assert slides[1].asked == [(Region(256, 512, 256, 256), 0.5)]


def test_annotations_may_lie_in_another_folder(small_slide: Path, tmp_path: Path) -> None:
    slides, exported = tmp_path / "slides", tmp_path / "exported"
    for folder in (slides / "batch 1", exported):
        folder.mkdir(parents=True)
    (slides / "batch 1" / small_slide.name).symlink_to(small_slide)
    (exported / f"{small_slide.name}.geojson").write_text(json.dumps([REGION, DERIVED]))
    (field,) = read_fields(AnnotatedSlides((slides,), exported))
    assert np.bincount(field.labels.ravel()).tolist() == [64 * 64 - 64, 64]
    alone = AnnotatedSlides((small_slide,), exported / f"{small_slide.name}.geojson")
    (again,) = read_fields(alone)
    assert (again.image == field.image).all()
    (exported / "other.geojson").write_text("[]")
    with pytest.warns(UserWarning, match=r"1 of the files in .*exported fit no slide: other\.geojson"):
        read_fields(AnnotatedSlides((slides,), exported))


def test_corrections_count_beside_annotated_slides(tmp_path: Path) -> None:
    slides, exported, corrections = (tmp_path / name for name in ("slides", "exported", "corrections"))
    for name in ("images", "labels"):
        (corrections / name).mkdir(parents=True)
    data = [corrections, slides]
    assert sources_of(data, exported) == [AnnotatedSlides((slides,), exported), corrections]
    assert sources_of(data, None) == data
    # The sister: without label maps it is a folder of slides.
    (corrections / "labels").rmdir()
    assert sources_of(data, exported) == [AnnotatedSlides((corrections, slides), exported)]


def test_annotations_of_other_slides_are_refused(small_slide: Path, tmp_path: Path) -> None:
    (tmp_path / "other.geojson").write_text(json.dumps([REGION]))
    name = f"{small_slide.stem}.geojson for {small_slide.name}"
    with pytest.raises(ConfigError, match=rf"fits no slide\. Name the files as the slides: {name}"):
        read_fields(AnnotatedSlides((small_slide,), tmp_path))
    with pytest.raises(ConfigError, match="is no folder"):
        read_tiles(AnnotatedSlides((small_slide,), tmp_path / "absent"))


def test_outlines_without_their_library_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.draw", None)
    with pytest.raises(ConfigError, match=r"Outlines need scikit-image: pip install 'wsipipe-gmr\[train\]'"):
        filled([], (4, 4))
