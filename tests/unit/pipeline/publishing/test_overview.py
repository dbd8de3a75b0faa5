"""The overview's small pictures: means of the slide, read in bands, whatever the size of a band."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wsipipe.pipeline.publishing import overview
from wsipipe.pipeline.publishing.overview import _fine_downsample, _histogram, _thinned, _thumbnail

SHAPE = (90, 70)


class Canvas:
    """A coarse canvas held in an array; keeps what was read at once."""

    def __init__(self, shape: tuple[int, int] = SHAPE) -> None:
        self.pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
        self.most_px = 0

    def read_coarse(self, downsample: int, part: Any) -> tuple[np.ndarray, None]:
        assert downsample == 16
        self.most_px = max(self.most_px, part.area_px)
        beyond = np.pad(self.pixels, ((0, 90), (0, 90), (0, 0)), constant_values=255)
        return beyond[part.slices], None


@pytest.fixture
def canvas(monkeypatch: pytest.MonkeyPatch) -> Canvas:
    monkeypatch.setattr(overview, "LONGEST_SIDE_PX", 30)
    monkeypatch.setattr(overview, "panel_shape", lambda shape: (15, 15))
    return Canvas()


def thumbnail(canvas: Canvas) -> np.ndarray:
    shape = canvas.pixels.shape[:2]
    grid = SimpleNamespace(shape=tuple(16 * side for side in shape), shape_at=lambda downsample: shape)
    plan: Any = SimpleNamespace(facts=SimpleNamespace(grid=grid), downsample=lambda name: 16)
    inputs: Any = SimpleNamespace(canvas=canvas)
    return _thumbnail(plan, inputs)


@pytest.mark.parametrize("band_px", [1, 630, 2000, 10**6])
def test_the_thumbnail_is_the_mean_of_squares(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch, band_px: int
) -> None:
    monkeypatch.setattr(overview, "BAND_PX", band_px)
    means = canvas.pixels[:90, :69].reshape(30, 3, 23, 3, 3).mean((1, 3))
    np.testing.assert_array_equal(thumbnail(canvas), means.astype(np.uint8))


def test_a_strip_thinner_than_a_px_of_the_picture_is_drawn(canvas: Canvas) -> None:
    strip = Canvas((90, 2))
    assert thumbnail(strip).shape == (30, 1, 3)


def test_a_band_bounds_what_is_read_at_once(canvas: Canvas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "BAND_PX", 1000)
    thumbnail(canvas)
    assert canvas.most_px <= 1000


def test_without_bands_all_is_read_at_once(canvas: Canvas, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sister: the bound above is the bands' doing."""
    monkeypatch.setattr(overview, "BAND_PX", 10**9)
    thumbnail(canvas)
    assert canvas.most_px == 90 * 69


def test_classes_are_thinned_for_the_eye_and_counted_whole(canvas: Canvas) -> None:
    classes = np.random.default_rng(1).integers(0, 5, (1300, 40), np.uint8)
    assert _thinned(classes).shape == (30, 1)
    np.testing.assert_array_equal(_histogram(classes), np.bincount(classes.ravel(), minlength=256))


@pytest.mark.parametrize(
    ("shape", "downsample"), [((3008, 2240), 4), ((65_536, 65_536), 16), ((640, 460), 1), ((60, 40), 1)]
)
def test_the_slide_is_read_as_fine_as_it_is_drawn(shape: tuple[int, int], downsample: int) -> None:
    plan: Any = SimpleNamespace(
        facts=SimpleNamespace(grid=SimpleNamespace(shape=shape)), downsample=lambda name: 16
    )
    assert _fine_downsample(plan) == downsample
