"""Trace labels as valid polygons, and measure their outlines.

The outline passes through the midpoint of every pixel side between inside and outside. Each side is passed
once, and two outlines never cross inside a square of four pixel centres, so rings are simple and disjoint; a
4-connected label has one outer ring. Without compiled code all labels are traced at once: each side refers to
the next, and pointer doubling puts the sides of every ring in order.

Source: marching squares at 0.5 with separated diagonals (Lorensen and Cline 1987, in the plane); list
ranking by pointer jumping (Wyllie 1979); length correction of Proffitt and Rosen 1979 (Computer Graphics and
Image Processing 10, 318-332).
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import shapely

from wsipipe.errors import InternalError
from wsipipe.geometry import Array
from wsipipe.stages.nuclei.compiled_outlines import Traced, areas, traced, well_known_binary
from wsipipe.store.nuclei_table import Affine

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


def trace(labels: Array, count: int) -> Traced:
    """Trace the rings of labels.

    Args:
        labels: Labels (H, W) int; 0 is background, and 1..count are all present, whole and 4-connected.
        count: Number of labels.

    Returns:
        The rings by label, the outer one first; points start with the first side in raster order.

    Raises:
        InternalError: A label is missing.
    """
    found = traced(labels)
    rings = _traced(labels) if found is None else found
    present = np.count_nonzero(np.diff(rings.label, prepend=0))
    if present != count:
        raise InternalError(
            f"Outlines of {count} labels were requested, but the patch has {present}. Report this defect of "
            "wsipipe with the slide's run.json."
        )
    return rings


def outlines(labels: Array, count: int) -> tuple[Array, Array]:
    """Trace the outlines of labels, and measure their lengths.

    Args:
        labels: Labels (H, W) int; 0 is background, and 1..count are all present, whole and 4-connected.
        count: Number of labels.

    Returns:
        Shapely polygons (count,) of :func:`polygons_of`, and lengths of :func:`outer_lengths`.

    Raises:
        InternalError: A label is missing.
    """
    rings = trace(labels, count)
    return polygons_of(rings), outer_lengths(rings)


def polygons_of(rings: Traced) -> Array:
    """Return shapely polygons (n,) in (x, y) px.

    Pixel (i, j) spans [j, j + 1] x [i, i + 1]; holes are kept, outer rings are counter-clockwise in (x, y).
    """
    ring_of = np.repeat(np.arange(rings.label.size), np.diff(rings.starts))
    closed = shapely.linearrings(rings.points / 2, indices=ring_of)
    return shapely.polygons(closed, indices=rings.label - 1)


def outer_lengths(rings: Traced) -> Array:
    """Return the length (n,) of each outer ring in px, corrected for the pixel grid.

    It is exact on average over directions, and the sum of two counts, so equal in all eight orientations.
    """
    outer = np.flatnonzero(np.diff(rings.label, prepend=0))
    return LENGTH_CORRECTION * (rings.straight[outer] + np.sqrt(0.5) * rings.diagonal[outer])


def solidity(rings: Traced) -> Array:
    """Return the area of polygons (n,) over that of their convex hulls, in (0, 1]."""
    found = areas(rings)
    if found is None:
        polygons = polygons_of(rings)
        found = shapely.area(polygons), shapely.area(shapely.convex_hull(polygons))
    return found[0] / found[1]


def polygon_column(rings: Traced, corner: tuple[int, int], affine: Affine) -> pa.Array:
    """Return the polygons in level-0 px as well-known binary.

    Args:
        rings: The rings.
        corner: Position (y, x) of the labels' first pixel, in px of the slide.
        affine: Affine of these px to level-0 px.
    """
    offset = np.array([affine[1], affine[0]])
    points = offset + affine[2] * (rings.points / 2 + np.array(corner[::-1]))
    found = well_known_binary(rings, points)
    if found is None:
        return pa.array(shapely.to_wkb(shapely.set_coordinates(polygons_of(rings), _closed(rings, points))))
    begins, content = found
    offsets = pa.py_buffer(begins.astype(np.int32))
    return pa.Array.from_buffers(pa.binary(), begins.size - 1, [None, offsets, pa.py_buffer(content)])


def _closed(rings: Traced, points: Array) -> Array:
    """Return the points of all rings, each with its first point again at the end."""
    place = np.insert(np.arange(len(points)), rings.starts[1:], rings.starts[:-1])
    return points[place]


def _traced(labels: Array) -> Traced:
    """Trace all rings at once, without compiled code."""
    sides = _sides(labels)
    start = _ring_starts(sides.next)
    first = np.flatnonzero(start == np.arange(start.size))
    # The first side of a label in raster order is on its outer ring: the sort puts it first.
    first = first[np.argsort(sides.label[first], kind="stable")]
    ring_of = np.empty(start.size, np.int64)
    ring_of[first] = np.arange(first.size)
    ring_of = ring_of[start]
    order = _ring_order(sides.next, start, ring_of)
    kept = order[_bends(sides)[order]]
    straight = np.bincount(ring_of[sides.straight], minlength=first.size)
    return Traced(
        points=np.stack([sides.x2[kept], sides.y2[kept]], axis=1),
        starts=np.append(0, np.cumsum(np.bincount(ring_of[kept], minlength=first.size))),
        label=sides.label[first],
        straight=straight,
        diagonal=np.bincount(ring_of, minlength=first.size) - straight,
    )


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


def _bends(sides: _Sides) -> Array:
    """Return whether the outline changes its direction at each side."""
    step_y, step_x = sides.y2[sides.next] - sides.y2, sides.x2[sides.next] - sides.x2
    bends = np.empty(sides.next.size, bool)
    bends[sides.next] = (step_y != step_y[sides.next]) | (step_x != step_x[sides.next])
    return bends
