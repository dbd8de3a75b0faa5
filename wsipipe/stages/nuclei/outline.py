"""Trace labels as valid polygons, and measure their outlines.

The outline passes through the midpoint of every pixel side between inside and outside. Each side is passed
once, and two outlines never cross inside a square of four pixel centres, so rings are simple and disjoint; a
4-connected label has one outer ring. All labels are traced at once: each side refers to the next, and pointer
doubling puts the sides of every ring in order.

Source: marching squares at 0.5 with separated diagonals (Lorensen and Cline 1987, in the plane); list
ranking by pointer jumping (Wyllie 1979); length correction of Proffitt and Rosen 1979 (Computer Graphics and
Image Processing 10, 318-332).
"""

from typing import NamedTuple

import numpy as np
import shapely

from wsipipe.errors import InternalError
from wsipipe.geometry import Array

LENGTH_CORRECTION = np.pi * (1 + np.sqrt(2)) / 8
"""Mean ratio of a straight line's length to that of its eight-direction outline, over all directions."""

_SIDES_Y, _SIDES_X = np.array([-1, 0, 1, 0]), np.array([0, 1, 0, -1])
"""Up, right, down, left: clockwise on the screen, counter-clockwise in (x, y) with y down."""


class _Sides(NamedTuple):
    """Sides between inside and outside, by pixel."""

    label: Array
    y2: Array
    x2: Array
    next: Array
    straight: Array


def outlines(labels: Array, count: int) -> tuple[Array, Array]:
    """Trace the outlines of labels, and measure their lengths.

    Args:
        labels: Labels (H, W) int; 0 is background, and 1..count are all present, whole and 4-connected.
        count: Number of labels.

    Returns:
        Shapely polygons (count,) in (x, y), pixel (i, j) spanning [j, j + 1] x [i, i + 1], holes kept, outer
        rings counter-clockwise in (x, y); and the length (count,) of each outer ring in px, corrected for the
        pixel grid (exact on average over directions; the sum of two counts, so equal in all eight
        orientations).

    Raises:
        InternalError: A label is missing.
    """
    sides = _sides(labels)
    start = _ring_starts(sides.next)
    rings = np.flatnonzero(start == np.arange(start.size))
    # The first side of a label in raster order is on its outer ring: the sort puts it first.
    rings = rings[np.argsort(sides.label[rings], kind="stable")]
    if np.unique(sides.label[rings]).size != count:
        raise InternalError(
            f"Outlines of {count} labels were requested, but the patch has "
            f"{np.unique(sides.label[rings]).size}. Report this defect of wsipipe with the slide's run.json."
        )
    ring_of = np.empty(start.size, np.int64)
    ring_of[rings] = np.arange(rings.size)
    ring_of = ring_of[start]
    order = _ring_order(sides.next, start, ring_of)
    polygons = _polygons(sides, order, ring_of, sides.label[rings] - 1)
    return polygons, _outer_lengths(sides, ring_of, rings)


def _sides(labels: Array) -> _Sides:
    padded = np.pad(labels, 1)
    width = padded.shape[1]
    flat, step = padded.ravel(), _SIDES_Y * width + _SIDES_X
    inside = np.flatnonzero(flat)
    open_side = flat[inside[:, None] + step] != flat[inside, None]
    at_edge = open_side.any(axis=1)
    pixel, open_side = inside[at_edge], open_side[at_edge]
    slot = np.empty(flat.size, np.int32)
    slot[pixel] = np.arange(pixel.size)
    position = np.cumsum(open_side.ravel()) - 1

    row, side = np.nonzero(open_side)
    here, turned = pixel[row], (side + 1) % 4
    ahead = here + step[turned]
    beyond = ahead + step[side]
    corner = flat[ahead] != flat[here]
    straight = ~corner & (flat[beyond] != flat[here])
    next_pixel = np.where(corner, here, np.where(straight, ahead, beyond))
    next_side = np.where(corner, turned, np.where(straight, side, (side + 3) % 4))
    y, x = np.divmod(here, width)
    return _Sides(
        label=flat[here],
        y2=2 * y - 1 + _SIDES_Y[side],
        x2=2 * x - 1 + _SIDES_X[side],
        next=position[slot[next_pixel].astype(np.int64) * 4 + next_side],
        straight=straight,
    )


def _ring_starts(after: Array) -> Array:
    """Return the smallest side of the ring of each side."""
    smallest, jump = np.arange(after.size), after
    while (smallest != smallest[after]).any():
        smallest = np.minimum(smallest, smallest[jump])
        jump = jump[jump]
    return smallest


def _ring_order(after: Array, start: Array, ring_of: Array) -> Array:
    """Return the sides ring by ring, in order."""
    is_last = after == start
    jump = np.where(is_last, np.arange(after.size), after)
    left = (~is_last).astype(np.int64)
    while (jump != jump[jump]).any():
        left += left[jump]
        jump = jump[jump]
    length = np.bincount(ring_of)
    order = np.empty(after.size, np.int64)
    order[np.cumsum(length)[ring_of] - 1 - left] = np.arange(after.size)
    return order


def _polygons(sides: _Sides, order: Array, ring_of: Array, label_of_ring: Array) -> Array:
    step_y, step_x = sides.y2[sides.next] - sides.y2, sides.x2[sides.next] - sides.x2
    bends = np.empty(order.size, bool)
    bends[sides.next] = (step_y != step_y[sides.next]) | (step_x != step_x[sides.next])
    kept = order[bends[order]]
    points = np.stack([sides.x2[kept], sides.y2[kept]], axis=1) / 2
    rings = shapely.linearrings(points, indices=ring_of[kept])
    return shapely.polygons(rings, indices=label_of_ring)


def _outer_lengths(sides: _Sides, ring_of: Array, rings: Array) -> Array:
    straight = np.bincount(ring_of, weights=sides.straight, minlength=rings.size)
    diagonal = np.bincount(ring_of, weights=~sides.straight, minlength=rings.size)
    outer = np.flatnonzero(np.diff(sides.label[rings], prepend=0))
    return LENGTH_CORRECTION * (straight[outer] + np.sqrt(0.5) * diagonal[outer])
