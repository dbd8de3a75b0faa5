from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsipipe.common.block_mean import block_mean
from wsipipe.errors import ConfigError
from wsipipe.geometry import Orientation, Region
from wsipipe.tiling import canvas as canvas_module
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.base import Facts
from wsipipe.tiling.slide import Slide, open_slide

STEPS = [1.0, 2.0, 1.37, 0.8]
LAW = settings(deadline=None, max_examples=40)


class ArrayReader:
    """A slide held in an array."""

    def __init__(self, pixels, alpha=None, bounds=None):
        self.pixels, self.alpha = pixels, alpha
        bounds = bounds or Region(0, 0, *pixels.shape[:2])
        self.facts = Facts(vendor="array", shapes=(pixels.shape[:2],), bounds=bounds, clues=MppClues())

    def read_level(self, level, region):
        return self.pixels[region.slices], None if self.alpha is None else self.alpha[region.slices]

    def close(self):
        pass


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def canvas_of(pixels, step, lattice_px=8, **keywords):
    return Canvas(Slide(Path("array"), ArrayReader(pixels, **keywords), 0.5), 0.5 * step, lattice_px)


def everything(canvas):
    """All that can be read of a canvas."""
    whole = Region(0, 0, *canvas.shape)
    half = Region(0, 0, canvas.shape[0] // 2, canvas.shape[1] // 2)
    return [
        *canvas.read_with_scanned(whole),
        canvas.read_reduced(half, 2),
        *canvas.read_coarse(4),
    ]


@LAW
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from(STEPS),
    st.sampled_from(Orientation),
    st.booleans(),
)
def test_a_turned_slide_has_the_turned_canvas(height, width, step, orientation, transparent):
    pixels, alpha = noise(height, height, width, 3), noise(width, height, width) if transparent else None
    straight = canvas_of(pixels, step, alpha=alpha)
    turned = canvas_of(
        orientation.apply(pixels), step, alpha=None if alpha is None else orientation.apply(alpha)
    )
    for ours, theirs in zip(everything(turned), everything(straight), strict=True):
        np.testing.assert_array_equal(ours, orientation.apply(theirs))


def test_sister_an_uncentred_grid_does_not_commute():
    pixels = noise(0, 41, 40, 3)
    straight, turned = canvas_of(pixels, 2.0).slide, canvas_of(pixels[::-1], 2.0).slide
    region = Region(0, 0, 24, 24)
    assert (turned.read(region, 1.0)[:20] != straight.read(region, 1.0)[:20][::-1]).any()


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("shape", [(130, 97), (64, 128)])
@pytest.mark.parametrize("step", [1.0, 2.0, 1.37])
def test_turned_files_have_turned_canvases(tmp_path, suffix, shape, step):
    pixels = noise(5, *shape, 3)
    expected = None
    for orientation in Orientation:
        path = tmp_path / f"{orientation.name}{suffix}"
        turned = np.ascontiguousarray(orientation.apply(pixels))
        if suffix == ".tif":
            tifffile.imwrite(path, turned, photometric="rgb", compression="zlib", rowsperstrip=16)
        else:
            Image.fromarray(turned).save(path)
        with open_slide(path, mpp=0.5) as slide:
            got = everything(Canvas(slide, 0.5 * step))
        expected = expected or got
        for ours, theirs in zip(got, expected, strict=True):
            np.testing.assert_array_equal(ours, orientation.apply(theirs))


@LAW
@given(
    st.integers(-9, 70), st.integers(-9, 70), st.integers(0, 40), st.integers(0, 40), st.sampled_from(STEPS)
)
def test_any_region_has_the_bits_of_the_whole(y, x, height, width, step):
    canvas = canvas_of(noise(1, 50, 43, 3), step)
    around = np.full((200, 200, 3), 255, np.uint8)
    around[50 : 50 + canvas.shape[0], 50 : 50 + canvas.shape[1]] = canvas.read(Region(0, 0, *canvas.shape))
    got = canvas.read(Region(y, x, height, width))
    np.testing.assert_array_equal(got, around[50 + y : 50 + y + height, 50 + x : 50 + x + width])


@pytest.mark.parametrize("step", STEPS)
def test_reading_by_strips_changes_nothing(monkeypatch, step):
    canvas = canvas_of(noise(2, 61, 90, 3), step)
    whole = everything(canvas)
    monkeypatch.setattr("wsipipe.tiling.slide.DECODED_AT_ONCE_PX", 300)
    monkeypatch.setattr(canvas_module, "DECODED_AT_ONCE_PX", 300)
    for ours, theirs in zip(everything(canvas), whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_shape_is_the_smallest_multiple_and_the_margins_are_white_and_unscanned():
    canvas = canvas_of(np.zeros((100, 66, 3), np.uint8), 1.0, 64)
    assert canvas.shape == (128, 128)
    rgb, scanned = canvas.read_with_scanned(Region(-1, -1, 130, 130))
    inside = np.zeros((130, 130), bool)
    inside[15:115, 32:98] = True
    np.testing.assert_array_equal(scanned, inside)
    np.testing.assert_array_equal(rgb[..., 0], np.where(inside, 0, 255))


@pytest.mark.parametrize(("own", "asked", "step"), [(0.499, 0.5, 1), (0.2505, 0.5, 2), (0.5, 2.03, 4)])
def test_the_slides_own_mpp_is_taken_where_it_is_near(own, asked, step):
    slide = Slide(Path("array"), ArrayReader(noise(0, 64, 64, 3)), own)
    canvas = Canvas(slide, asked)
    assert canvas.step == step
    assert canvas.mpp == own * step


@pytest.mark.parametrize(("own", "asked"), [(0.2271, 0.5), (0.5, 0.25), (0.3461, 0.5), (0.5, 0.48)])
def test_elsewhere_the_asked_mpp_is_kept(own, asked):
    canvas = Canvas(Slide(Path("array"), ArrayReader(noise(0, 64, 64, 3)), own), asked)
    assert canvas.mpp == pytest.approx(asked)
    assert canvas.step == asked / own


def test_to_level0_finds_the_pixel_that_was_read():
    pixels = np.full((40, 30, 3), 255, np.uint8)
    pixels[10, 21] = 0
    canvas = canvas_of(pixels, 1.0, 64)
    rows, columns = np.nonzero(canvas.read(Region(0, 0, 64, 64))[..., 0] == 0)
    assert canvas.to_level0(rows[0] + 0.5, columns[0] + 0.5) == (10.5, 21.5)
    assert canvas.to_level0(*(side / 2 for side in canvas.shape)) == (20.0, 15.0)


def test_reduced_is_repeated_halving():
    canvas = canvas_of(noise(7, 60, 60, 3), 1.37, 16)
    whole = canvas.read(Region(0, 0, *canvas.shape))
    side = canvas.shape[0] // 4
    np.testing.assert_array_equal(
        canvas.read_reduced(Region(0, 0, side, side), 4), block_mean(block_mean(whole))
    )


def test_coarse_is_near_the_reduced():
    canvas = canvas_of(noise(7, 96, 64, 3), 1.0, 16)
    coarse, scanned = canvas.read_coarse(16)
    reduced = canvas.read_reduced(Region(0, 0, *coarse.shape[:2]), 16).astype(int)
    assert scanned.all()
    assert np.abs(coarse - reduced).max() <= 2


def test_parts_of_the_coarse_canvas_are_parts_of_the_whole():
    canvas = canvas_of(noise(9, 93, 61, 3), 1.37, 16)
    whole = canvas.read_coarse(8)
    part = Region(2, 1, 5, 3)
    for pixels, all_pixels in zip(canvas.read_coarse(8, part), whole, strict=True):
        np.testing.assert_array_equal(pixels, all_pixels[part.slices])


def test_only_the_scanned_bounds_count():
    pixels, bounds = noise(8, 80, 90, 3), Region(7, 11, 50, 60)
    cut = canvas_of(pixels[7:57, 11:71], 1.37)
    bounded = canvas_of(pixels, 1.37, bounds=bounds)
    for ours, theirs in zip(everything(bounded), everything(cut), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_wrong_numbers_are_refused():
    pixels = noise(0, 8, 8, 3)
    with pytest.raises(ConfigError, match="above 0"):
        canvas_of(pixels, 0.0)
    with pytest.raises(ConfigError, match="power of two"):
        canvas_of(pixels, 1.0, 48)
    with pytest.raises(ConfigError, match="power of two"):
        canvas_of(pixels, 1.0).read_reduced(Region(0, 0, 1, 1), 3)
    with pytest.raises(ConfigError, match="larger lattice"):
        canvas_of(pixels, 1.0).read_coarse(16)
