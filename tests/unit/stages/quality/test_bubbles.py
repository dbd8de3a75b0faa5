"""Air bubbles: closed, round, thin, neutral lines and nothing else."""

import numpy as np
import pytest

from wsipipe.geometry import Array, Orientation
from wsipipe.stages.quality.bubbles import find_bubbles
from wsipipe.stages.quality.params import QualityParams
from wsipipe.tiling.optical_density import OpticalDensity

SHAPE = (90, 110)
HERE = np.ogrid[: SHAPE[0], : SHAPE[1]]
RADIUS = np.hypot(HERE[0] - 45, HERE[1] - 50)
RING = (RADIUS < 20) & (RADIUS >= 18)


def density(line: Array, added: tuple[int, int, int] = (400, 400, 400)) -> OpticalDensity:
    """Pink tissue on the right half, glass on the left, and a line over both."""
    tissue = np.zeros(SHAPE, bool)
    tissue[:, 50:] = True
    dyes = zip((100, 350, 250), added, strict=True)
    red, green, blue = (
        (np.where(tissue, dye, 20) + np.where(line, more, 0)).astype(np.int32) for dye, more in dyes
    )
    return OpticalDensity(red, green, blue, red + green + blue, np.zeros(SHAPE, np.int32))


def found(line: Array, *added: tuple[int, int, int]) -> Array:
    return find_bubbles(density(line, *added), np.ones(SHAPE, bool), 8.0, QualityParams())


def test_a_bubble_is_all_within_its_outline() -> None:
    assert (found(RING) == (RADIUS < 20)).all()


def test_what_is_open_long_wide_or_coloured_is_none() -> None:
    open_line = RING & ~((HERE[1] > 65) & (abs(HERE[0] - 45) < 5))
    ellipse = np.hypot((HERE[0] - 45) / 2.2, HERE[1] - 50)
    wide = (RADIUS < 24) & (RADIUS >= 14)
    for line in (open_line, (ellipse < 19) & (ellipse >= 17), wide, RADIUS < 20, np.zeros(SHAPE, bool)):
        assert not found(line).any()
    # Haematoxylin and eosin, and a line too faint.
    for added in ((490, 530, 220), (160, 600, 420), (100, 100, 100)):
        assert not found(RING, added).any()


def test_small_rings_and_ink_are_none() -> None:
    assert not found((RADIUS < 4.5) & (RADIUS >= 3)).any()
    assert not find_bubbles(density(RING), ~RING, 8.0, QualityParams()).any()


@pytest.mark.parametrize("orientation", Orientation)
def test_bubbles_commute_with_the_eight_orientations(orientation: Orientation) -> None:
    turned = OpticalDensity(*(orientation.apply(each) for each in density(RING)))
    clear = np.random.default_rng(0).random(SHAPE) > 0.02
    straight = find_bubbles(density(RING), clear, 8.0, QualityParams())
    around = find_bubbles(turned, orientation.apply(clear), 8.0, QualityParams())
    assert straight.any()
    assert (around == orientation.apply(straight)).all()
