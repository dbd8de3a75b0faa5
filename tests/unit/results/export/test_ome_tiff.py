"""OME-TIFF files hold the px of the store, as another TIFF library and the slide reader read them."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from wsipipe.common.colours import NUCLEUS
from wsipipe.errors import ConfigError, NoResultError
from wsipipe.geometry import Region
from wsipipe.results.export import ome_tiff
from wsipipe.results.export.overlay import outlines
from wsipipe.results.export.source import ExportOptions, ExportSource, open_source
from wsipipe.review.sample import CLASSES, MPP
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.store.result import Result
from wsipipe.tiling.slide import open_slide


def of_layer(result: Result, layer: str) -> ExportSource:
    return open_source(result.folder, ExportOptions(layer=layer))


@pytest.mark.parametrize(("layer", "mpp"), [("nuclei", 0.5), ("tissue", 8.0), ("tissue_class", 16.0)])
def test_labels_have_their_ids_in_every_level(
    pristine: Result, tmp_path: Path, layer: str, mpp: float
) -> None:
    path = tmp_path / "labels.ome.tif"
    stored = [np.asarray(level[...]) for level in pristine.arrays.labels[layer]]
    assert ome_tiff.write(of_layer(pristine, layer), path) == len(stored) == 2
    with tifffile.TiffFile(path) as tiff:
        levels = tiff.series[0].levels
        assert all(np.array_equal(level.asarray(), one) for level, one in zip(levels, stored, strict=True))
        xml = ElementTree.fromstring(tiff.ome_metadata)
    pixels = xml.find(".//{*}Pixels")
    assert [pixels.get(f"PhysicalSize{axis}") for axis in "XY"] == [str(mpp)] * 2
    assert [pixels.get(f"PhysicalSize{axis}Unit") for axis in "XY"] == ["µm"] * 2
    assert (pixels.get("SizeX"), pixels.get("SizeY")) == tuple(map(str, stored[0].shape[::-1]))


@pytest.mark.parametrize("layer", ["nuclei", "tissue_class", "image"])
def test_libtiff_reads_the_same(pristine: Result, tmp_path: Path, layer: str) -> None:
    cv2 = pytest.importorskip("cv2", reason="LOUD SKIP: no cv2 here; a second reader is NOT tested")
    path = tmp_path / "labels.ome.tif"
    ome_tiff.write(of_layer(pristine, layer), path)
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if layer == "image":
        np.testing.assert_array_equal(found[..., ::-1], np.moveaxis(pristine.arrays.image[0][...], 0, 2))
    else:
        np.testing.assert_array_equal(found, pristine.arrays.labels[layer][0][...])


def test_tiles_of_an_uneven_picture(
    pristine: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ome_tiff, "TILE_PX", 208)
    path = tmp_path / "labels.ome.tif"
    ome_tiff.write(of_layer(pristine, "nuclei"), path)
    np.testing.assert_array_equal(tifffile.imread(path), pristine.arrays.labels["nuclei"][0][...])


def test_the_overlay_is_a_slide_of_the_right_scale(pristine: Result, tmp_path: Path) -> None:
    path = tmp_path / "overlay.ome.tif"
    assert ome_tiff.write(of_layer(pristine, "overlay"), path) == 2
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(MPP)
        picture = slide.read(Region(0, 0, 512, 512), MPP)
    labels = np.pad(np.asarray(pristine.arrays.labels["nuclei"][0][...]), 1)
    lines = outlines(labels)
    # JPEG changes colours a little.
    assert np.abs(picture[lines].astype(int).mean(axis=0) - NUCLEUS).max() < 25
    assert np.abs(picture[~lines].astype(int).mean(axis=0) - NUCLEUS).max() > 60


def test_colours_of_the_overlay_are_exact(pristine: Result) -> None:
    (level, coarse) = ome_tiff._overlays(of_layer(pristine, "overlay"))
    assert (level.cell_px, coarse.cell_px) == (32, 16)
    image = np.moveaxis(np.asarray(pristine.arrays.image[0][...]), 0, 2).astype(float)
    labels = np.asarray(pristine.arrays.labels["nuclei"][0][...])
    picture = level.tile(Region(100, 200, 300, 312))
    lines = outlines(np.pad(labels, 1))
    rows, columns = np.mgrid[100:400, 200:512]
    classes = np.asarray(pristine.arrays.labels["tissue_class"][0][...])[rows // 32, columns // 32]
    colours = np.array([item.rgb for item in CLASSES] + [(0, 0, 0)])[
        np.where(classes == NOT_COMPUTED, 2, classes)
    ]
    share = np.where(classes == NOT_COMPUTED, 0, 0.25)[..., None]
    wanted = image[100:400, 200:512]
    wanted = np.rint(wanted + share * (colours - wanted)).astype(np.uint8)
    wanted[lines[100:400, 200:512]] = NUCLEUS
    np.testing.assert_array_equal(picture, wanted)
    # The sister: without the margin the edge of a tile would be drawn as an outline.
    assert (outlines(np.pad(labels[100:400, 200:512], 1)) != lines[100:400, 200:512]).any()


def test_what_is_absent_is_named(without_image: Result, tmp_path: Path) -> None:
    for layer in ("image", "overlay"):
        with pytest.raises(NoResultError, match="holds no image, since it was run with --image none"):
            ome_tiff.write(of_layer(without_image, layer), tmp_path / "x")
    with pytest.raises(ConfigError, match="no layer 'stroma'"):
        ome_tiff.write(of_layer(without_image, "stroma"), tmp_path / "x")
    assert not (tmp_path / "x").exists()
