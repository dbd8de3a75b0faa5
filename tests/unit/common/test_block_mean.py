"""Means of blocks are exact, rounded half up, and turn with the image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Array, Orientation

FEW = settings(max_examples=60, deadline=None)
even = st.integers(1, 6).map(lambda side: 2 * side)
pictures = hnp.arrays(np.uint8, st.tuples(even, even))


@FEW
@given(pictures, st.sampled_from(list(Orientation)))
def test_means_turn_with_the_image(picture: Array, orientation: Orientation) -> None:
    turned = block_mean(orientation.apply(picture))
    np.testing.assert_array_equal(turned, orientation.apply(block_mean(picture)))


def test_sister_one_corner_of_four_does_not_turn() -> None:
    picture = np.arange(4).reshape(2, 2)
    assert Orientation.R90.apply(picture)[::2, ::2] != picture[::2, ::2]


@pytest.mark.parametrize("side", [2, 4, 8, 16])
def test_means_are_those_of_real_numbers_rounded_half_up(side: int) -> None:
    image = np.random.default_rng(side).integers(0, 256, (3 * side, 2 * side, 3), np.uint8)
    exact = image.reshape(3, side, 2, side, 3).mean((1, 3))
    np.testing.assert_array_equal(block_mean(image, side), np.floor(exact + 0.5))
    assert (block_mean(np.full((side, side), 255, np.uint8), side) == 255).all()


def test_a_half_is_rounded_up() -> None:
    assert block_mean(np.array([[0, 0], [1, 1]], np.uint8)).tolist() == [[1]]
