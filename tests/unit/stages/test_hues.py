"""Hues of dyes: where they lie, that order and orientation change no count, and that a tint is taken off."""

import numpy as np
import pytest

from wsipipe.geometry import Orientation
from wsipipe.stages.hues import channel_counts, hue_counts, share_within, white_of

DYES = {"haematoxylin": (0.65, 0.70, 0.29), "eosin": (0.07, 0.99, 0.11), "dab": (0.27, 0.57, 0.78)}
WHITE = (255, 255, 255)


def picture(od: tuple[float, float, float], strength: float = 1.0, tint: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    density = rng.uniform(0.2, 1, (60, 80, 1)) * np.array(od) * strength
    density[:4] = 0
    return np.clip(np.rint(np.array([1, 1, tint]) * 256 * np.exp(-density) - 1), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("od", "low", "high"),
    [
        (DYES["haematoxylin"], 45, 75),
        (DYES["eosin"], 105, 135),
        (DYES["dab"], 190, 225),
        ((1, 0.3, 0.2), 0, 20),
    ],
)
def test_each_dye_has_its_hue(od: tuple[float, float, float], low: int, high: int) -> None:
    hues = hue_counts(picture(od, 2), WHITE)
    assert share_within(hues, low, high) > 0.99
    assert hues[360] > 3000


def test_order_and_orientation_change_no_count() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (37, 51, 3), np.uint8)
    counted = np.random.default_rng(2).random((37, 51)) < 0.5
    white = white_of(channel_counts(pixels, counted))
    expected = hue_counts(pixels, white, counted)
    for orientation in Orientation:
        turned, mask = orientation.apply(pixels), orientation.apply(counted)
        assert white_of(channel_counts(turned, mask)) == white
        assert np.array_equal(hue_counts(turned, white, mask), expected)
    parts = hue_counts(pixels[:10], white, counted[:10]) + hue_counts(pixels[10:], white, counted[10:])
    assert np.array_equal(parts, expected)


def test_a_yellow_lamp_is_no_dye() -> None:
    tinted = picture(DYES["eosin"], 2, tint=0.8)
    white = white_of(channel_counts(tinted))
    assert white[2] < 210 < white[0]
    assert share_within(hue_counts(tinted, white), 105, 135) > 0.95
    assert share_within(hue_counts(tinted, WHITE), 105, 135) < 0.8


def test_grey_and_pale_have_no_hue() -> None:
    assert share_within(hue_counts(np.full((9, 9, 3), 90, np.uint8), WHITE), 10, 20) == 1
    assert hue_counts(picture(DYES["eosin"], 0.1), WHITE)[360] == 0
    assert white_of(np.zeros((3, 256), np.int64)) == WHITE
