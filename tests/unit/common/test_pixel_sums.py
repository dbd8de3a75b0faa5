"""Compiled sums of pixels have the bits of those by NumPy."""

import shutil

import numpy as np
import pytest

from wsipipe.common import block_mean as module
from wsipipe.common import pixel_sums
from wsipipe.common.block_mean import block_mean
from wsipipe.tiling import resample as resampling
from wsipipe.tiling.resample import Axis, resample, taps

RANDOM = np.random.default_rng(2)


def both_ways(monkeypatch, function):
    """What a function returns with and without compiled code."""
    fast = function()
    monkeypatch.setattr(pixel_sums, "library", lambda: None)
    return fast, function()


@pytest.mark.parametrize("side", [2, 4, 8, 16])
@pytest.mark.parametrize("shape", [(32, 48, 3), (32, 48), (16, 16, 1), (48, 32, 4), (32, 48, 2, 3)])
def test_means_of_blocks(monkeypatch, side, shape):
    image = RANDOM.integers(0, 256, shape, np.uint8)
    fast, slow = both_ways(monkeypatch, lambda: block_mean(image, side))
    exact = image.reshape(shape[0] // side, side, shape[1] // side, side, *shape[2:]).astype(int).sum((1, 3))
    np.testing.assert_array_equal(fast, slow)
    np.testing.assert_array_equal(fast, (2 * exact + side * side) // (2 * side * side))


def test_parts_and_mirrored_images_have_the_same_means(monkeypatch):
    image = RANDOM.integers(0, 256, (40, 60, 3), np.uint8)
    for view in (image[4:36, 2:58], image[::-1], image[:, ::-1], image.transpose(1, 0, 2), image[::2, ::3]):
        np.testing.assert_array_equal(block_mean(view), block_mean(np.ascontiguousarray(view)))


@pytest.mark.parametrize("step", [0.3, 0.5, 1.0, 1.0002, 1.3, 1.998, 2, 2.01, 3, 4, 7.7, 16])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_samples(monkeypatch, step, shift):
    axis = Axis(step, 100.0, round(100 / step) + shift)
    rows, columns = taps(axis, 6, 29), taps(axis, 9, 20)
    shape = (*(along.span[1] - along.span[0] for along in (rows, columns)), 3)
    source = RANDOM.integers(0, 256, shape, np.uint8)
    fast, slow = both_ways(monkeypatch, lambda: resample(source, rows, columns))
    assert fast.dtype == slow.dtype == np.uint8
    np.testing.assert_array_equal(fast, slow)


@pytest.mark.usefixtures("built")
def test_compiled_code_is_in_use(monkeypatch):
    image = RANDOM.integers(0, 256, (8, 8, 3), np.uint8)
    monkeypatch.setattr(module, "block_means", lambda *_: "means")
    assert block_mean(image) == "means"
    axis = Axis(1.3, 5.0, 4.0)
    assert (
        resampling._compiled(np.zeros((30, 30, 3), np.uint8), taps(axis, 0, 3), taps(axis, 0, 3)) is not None
    )


@pytest.fixture
def built():
    if shutil.which("g++") is None:
        pytest.skip("LOUD SKIP: there is no g++; compiled sums are NOT tested")
    # With a compiler a build that fails is a defect, not a reason to skip.
    assert pixel_sums.library() is not None


@pytest.mark.usefixtures("built")
def test_taps_beside_the_source_are_refused():
    source, weights = np.zeros((4, 4, 3), np.uint8), np.ones((1, 2), np.int32)
    inside = (np.array([2]), weights)
    assert pixel_sums.weighted_sums(source, inside, inside, 2) is not None
    for first in (-1, 3):
        assert pixel_sums.weighted_sums(source, (np.array([first]), weights), inside, 2) is None


def test_a_sample_of_whole_px_is_a_copy_that_nothing_else_holds():
    source = RANDOM.integers(0, 256, (20, 20, 3), np.uint8)
    view = source[2:12, 3:13]
    whole = taps(Axis(1.0, 0.0, 0.0), 0, 10)
    copied = resample(view, whole, whole)
    np.testing.assert_array_equal(copied, view)
    assert not np.shares_memory(copied, source)
