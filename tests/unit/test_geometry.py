"""Rectangles cover what they say; the eight orientations are eight, and undone by their inverse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.geometry import Orientation, Region, hull

coordinates, extents = st.integers(-50, 50), st.integers(0, 50)
regions = st.builds(Region, coordinates, coordinates, extents, extents)
FEW = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize("orientation", Orientation)
def test_orientation_is_undone(orientation: Orientation) -> None:
    image = np.arange(2 * 3 * 3).reshape(2, 3, 3)
    np.testing.assert_array_equal(orientation.undo(orientation.apply(image)), image)
    inner = orientation.undo(orientation.apply(image, axes=(1, 2)), axes=(1, 2))
    np.testing.assert_array_equal(inner, image)


def test_the_eight_orientations_differ() -> None:
    image = np.arange(4).reshape(2, 2)
    assert len({orientation.apply(image).tobytes() for orientation in Orientation}) == 8


@FEW
@given(regions, st.tuples(extents, extents))
def test_clipped_keeps_the_pixels_inside(region: Region, shape: tuple[int, int]) -> None:
    inside = {(y, x) for y, x in _pixels(region) if 0 <= y < shape[0] and 0 <= x < shape[1]}
    assert set(_pixels(region.clipped(shape))) == inside


@FEW
@given(regions, st.integers(1, 9))
def test_aligned_covers_on_the_lattice(region: Region, multiple: int) -> None:
    covering = region.aligned(multiple)
    assert not any(edge % multiple for edge in (covering.y, covering.x, covering.end_y, covering.end_x))
    assert covering.y <= region.y < covering.y + multiple
    assert covering.end_y - multiple < region.end_y <= covering.end_y


@FEW
@given(regions, regions)
def test_meets_is_sharing_a_pixel(one: Region, other: Region) -> None:
    assert one.meets(other) == bool(set(_pixels(one)) & set(_pixels(other))) or not (
        one.area_px and other.area_px
    )


@FEW
@given(regions, regions)
def test_the_intersection_is_what_both_cover(one: Region, other: Region) -> None:
    assert set(_pixels(one.intersection(other))) == set(_pixels(one)) & set(_pixels(other))


@FEW
@given(regions, st.integers(1, 20), st.one_of(st.none(), st.integers(1, 20)))
def test_blocks_cover_each_pixel_once(region: Region, height: int, width: int | None) -> None:
    blocks = list(region.blocks(height, width))
    pixels = [pixel for block in blocks for pixel in _pixels(block)]
    assert len(pixels) == len(set(pixels))
    assert set(pixels) == set(_pixels(region))
    assert all(block.height <= height and block.width <= (width or height) for block in blocks)


@FEW
@given(st.lists(regions, min_size=1, max_size=4))
def test_the_hull_is_the_smallest_region_around_all(several: list[Region]) -> None:
    around = hull(several)
    assert all(one.intersection(around) == one for one in several)
    smaller = [
        Region(around.y + 1, around.x, around.height - 1, around.width),
        Region(around.y, around.x + 1, around.height, around.width - 1),
        Region(around.y, around.x, around.height - 1, around.width),
        Region(around.y, around.x, around.height, around.width - 1),
    ]
    for less in smaller:
        outside = (min(one.y for one in several) < less.y) or (max(one.end_y for one in several) > less.end_y)
        outside |= (min(one.x for one in several) < less.x) or (
            max(one.end_x for one in several) > less.end_x
        )
        assert outside


def test_relative_to_moves_the_origin() -> None:
    core, patch = Region(10, 20, 4, 6), Region(10, 20, 4, 6).grown(3)
    assert core.relative_to(patch) == Region(3, 3, 4, 6)
    assert patch.shape == (10, 12)


def _pixels(region: Region) -> list[tuple[int, int]]:
    return [(y, x) for y in range(region.y, region.end_y) for x in range(region.x, region.end_x)]
