"""Downsamples of levels: exact for every pyramid of whole steps, however small its levels."""

import math

import numpy as np
import pytest
import tifffile

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Region
from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.base import Facts, whole
from wsipipe.tiling.readers.pyramid import levels_of
from wsipipe.tiling.slide import open_slide

SIDES = [
    (1500, 1500),
    (1023, 1535),
    (767, 2047),
    (500, 500),
    (250, 990),
    (1473, 1473),
    (111, 130),
    (64, 5000),
]


def facts(shapes, scales=None):
    bounds = whole(shapes[0])
    return Facts(vendor="fake", shapes=tuple(shapes), bounds=bounds, clues=MppClues(), scales=scales)


def downsamples(shapes, scales=None):
    return [level.downsample for level in levels_of(facts(shapes, scales), 0.25)]


def chain(shape, step, rounded):
    """Shapes of a pyramid whose every level is made of the one before, down to 1 px."""
    shapes = [shape]
    while min(shapes[-1]) > 1:
        shapes.append(tuple(max(int(rounded(side / step)), 1) for side in shapes[-1]))
    return shapes


@pytest.mark.parametrize("shape", SIDES)
@pytest.mark.parametrize("rounded", [math.floor, math.ceil, round])
@pytest.mark.parametrize("step", [2, 4])
def test_halved_and_quartered_pyramids(shape, rounded, step):
    shapes = chain(shape, step, rounded)
    assert downsamples(shapes) == [float(step**i) for i in range(len(shapes))]


@pytest.mark.parametrize("shape", [(1500, 1500), (1023, 1535), (2000, 999)])
@pytest.mark.parametrize("rounded", [math.floor, math.ceil])
@pytest.mark.parametrize("step", [3, 5])
def test_pyramids_of_other_whole_steps(shape, rounded, step):
    shapes = [shape for shape in chain(shape, step, rounded) if min(shape) > 2]
    assert downsamples(shapes) == [float(step**i) for i in range(len(shapes))]


def test_levels_that_skip_steps():
    shapes = [(40001, 60013), (10000, 15003), (2500, 3750), (1250, 1875)]
    assert downsamples(shapes) == [1.0, 4.0, 16.0, 32.0]


def test_the_files_own_whole_number_wins_where_it_explains_the_shape():
    shapes = [(500, 500), (15, 15)]
    assert downsamples(shapes) == [1.0, 32.0]
    assert downsamples(shapes, (1.0, 33.0)) == [1.0, 33.0]
    assert downsamples(shapes, (1.0, 50.0)) == [1.0, 32.0]  # 10 px and not 15
    assert downsamples(shapes, (None, None)) == [1.0, 32.0]


def test_the_files_own_fraction_is_taken_where_no_whole_number_explains_the_shape():
    shapes = [(1000, 1000), (400, 400)]
    assert downsamples(shapes, (1.0, 2.5)) == [1.0, 2.5]
    assert downsamples(shapes) == [1.0, 2.5]
    assert downsamples([(1000, 1000), (500, 500)], (1.0, 2.001)) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("per_cm", "expected"), [(40000 / 33, 33.0), (40000, 32.0), (40000 / 50, 32.0), (0, 32.0)]
)
def test_resolution_tags_of_a_level_are_the_files_own_number(tmp_path, per_cm, expected):
    options = {"photometric": "rgb", "metadata": None, "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(np.zeros((500, 500, 3), np.uint8), resolution=(40000, 40000), **options)
        tiff.write(np.zeros((15, 15, 3), np.uint8), resolution=(per_cm, per_cm), subfiletype=1, **options)
    with open_slide(tmp_path / "a.tif") as slide:
        assert [level.downsample for level in slide.levels] == [1.0, expected]


def test_shapes_that_are_no_reduction_are_left_out():
    assert downsamples([(1000, 1000), (500, 300), (250, 250), (0, 0)]) == [1.0, 4.0]


@pytest.mark.parametrize(("height", "width"), [(500, 500), (250, 990)])
def test_every_level_of_a_small_slide_shows_what_level_0_shows(tmp_path, height, width):
    y, x = np.mgrid[0:height, 0:width]
    waves = 127 + 100 * np.sin(x / 60.0) * np.cos(y / 70.0)
    fine = np.dstack([x * 250.0 / width, y * 250.0 / height, waves]).round().astype(np.uint8)
    options = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib", "metadata": None}
    levels = [fine]
    for _ in range(5):
        rows, columns = (side // 2 * 2 for side in levels[-1].shape[:2])
        levels.append(block_mean(levels[-1][:rows, :columns]))
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for index, level in enumerate(levels):
            tiff.write(level, subfiletype=int(index > 0), **options)
    tifffile.imwrite(tmp_path / "b.tif", fine, **options)
    with open_slide(tmp_path / "a.tif", 0.25) as slide, open_slide(tmp_path / "b.tif", 0.25) as plain:
        assert [level.downsample for level in slide.levels] == [1, 2, 4, 8, 16, 32]
        for level in slide.levels:
            region, mpp = Region(0, 0, *level.shape), 0.25 * level.downsample
            difference = slide.read(region, mpp).astype(int) - plain.read(region, mpp)
            assert np.abs(difference).max() <= 3, level
