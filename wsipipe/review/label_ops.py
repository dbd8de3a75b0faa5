"""Operations on labels, as pure functions on arrays (y, x).

Each nucleus stays one 4-connected object: a part that an edit cuts off becomes a nucleus of its own, or
background if it is a sliver.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import shapely
from scipy import ndimage

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region

Point = tuple[float, float]
SLIVER_PX = 4
"""Parts of up to this size that are cut off become background."""


def keep_connected(after: Array, ids: Iterable[int], next_id: int) -> Array:
    """Make each nucleus one 4-connected object.

    The largest part keeps the id (the first in raster order among equals), the others get new ids.

    Args:
        after: Labels (H, W), changed in place.
        ids: Nuclei that may be in parts; entirely in the window.
        next_id: First unused id.

    Returns:
        The same array.
    """
    for identity in sorted(set(ids) - {0}):
        parts, count = ndimage.label(after == identity)
        if count < 2:
            continue
        areas = np.bincount(parts.ravel())
        areas[0] = 0
        kept = int(areas.argmax())
        for part in range(1, count + 1):
            if part == kept:
                continue
            is_sliver = areas[part] <= SLIVER_PX
            after[parts == part] = 0 if is_sliver else next_id
            next_id += not is_sliver
    return after


def split(labels: Array, identity: int, next_id: int, line: Sequence[Point] | None = None) -> Array:
    """Split a nucleus along a line, or across its longest axis.

    Args:
        labels: Labels (H, W) of the window.
        identity: The nucleus, entirely in the window.
        next_id: First unused id.
        line: (y, x) points in px of the window; the line must cross the nucleus.

    Raises:
        ConfigError: The line does not cut the nucleus, or the nucleus is too small.
    """
    inside = labels == identity
    cut = _cut_by(inside, line) if line else _halves(inside)
    parts, count = ndimage.label(inside & (cut == 1))
    others, more = ndimage.label(inside & (cut == 2))
    parts[others > 0] = others[others > 0] + count
    areas = np.bincount(parts.ravel(), minlength=count + more + 1)[1:]
    if np.count_nonzero(areas > SLIVER_PX) < 2:
        raise ConfigError(
            f"Nucleus {identity} was not split: the cut leaves one piece. Draw the line right across it."
        )
    return _numbered(labels, inside, parts, areas, identity, next_id)


def _halves(inside: Array) -> Array:
    """Halve a nucleus across its longest axis.

    Returns 1 and 2 for the halves, 0 outside.
    """
    y, x = np.nonzero(inside)
    if y.size < 2:
        return inside.astype(np.uint8)
    points = np.stack([y - y.mean(), x - x.mean()])
    axis = np.linalg.eigh(points @ points.T)[1][:, -1]
    cut = np.zeros(inside.shape, np.uint8)
    cut[y, x] = 1 + (axis @ points > 0)
    return cut


def _cut_by(inside: Array, line: Sequence[Point]) -> Array:
    """Return 1 in the largest piece, else 2.

    Px on the line belong to the nearest piece.
    """
    parts, count = ndimage.label(inside & ~stroke_mask(inside.shape, line, 0.75))
    if count < 2:
        return inside.astype(np.uint8)
    nearest = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    parts = np.where(inside, parts[tuple(nearest)], 0)
    largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    return np.where(parts == largest, 1, 2 * inside).astype(np.uint8)


def _numbered(labels: Array, inside: Array, parts: Array, areas: Array, identity: int, next_id: int) -> Array:
    after = labels.copy()
    after[inside] = identity
    largest = int(areas.argmax()) + 1
    for part in range(1, areas.size + 1):
        if part != largest:
            small = areas[part - 1] <= SLIVER_PX
            after[parts == part] = 0 if small else next_id
            next_id += not small
    return after


def merge(labels: Array, ids: Sequence[int]) -> Array:
    """Merge nuclei into one with the smallest of their ids.

    Raises:
        ConfigError: The nuclei do not touch.
    """
    after = labels.copy()
    together = np.isin(labels, ids)
    if ndimage.label(together)[1] != 1:
        raise ConfigError(
            f"Nuclei {', '.join(map(str, ids))} were not merged: they do not touch. Paint the gap between "
            "them first."
        )
    after[together] = min(ids)
    return after


def filled(labels: Array, inside: Array, identity: int, over: bool = False) -> Array:
    """Return labels with a nucleus inside a mask.

    Args:
        labels: Labels (H, W).
        inside: Mask (H, W) bool.
        identity: The nucleus.
        over: Whether it replaces other nuclei.
    """
    free = inside if over else inside & ((labels == 0) | (labels == identity))
    return np.where(free, np.uint32(identity), labels)


def polygon_in(points: Sequence[Point], shape: tuple[int, int]) -> tuple[Region, Array]:
    """Return a window and the mask of a polygon.

    Args:
        points: Corners (y, x).
        shape: (height, width) of the array; the window is inside it.

    Raises:
        ConfigError: Fewer than three points.
    """
    window = bounds_of(points).clipped(shape)
    return window, polygon_mask(window, polygon_of(points))


def stroke_in(points: Sequence[Point], radius_px: float, shape: tuple[int, int]) -> tuple[Region, Array]:
    """Return a window and the mask of a stroke.

    Args:
        points: Points (y, x) of the line.
        radius_px: Radius of the brush.
        shape: (height, width) of the array; the window is inside it.
    """
    window = bounds_of(points, radius_px + 1).clipped(shape)
    return window, stroke_mask(window.shape, moved(points, window), radius_px)


def polygon_mask(region: Region, outline: shapely.Polygon) -> Array:
    """Return the mask (height, width) of a polygon.

    A px is inside if its centre is.

    Args:
        region: Region of the mask.
        outline: Shapely polygon in (x, y); its holes are outside.
    """
    valid = outline if outline.is_valid else shapely.make_valid(outline)
    shapely.prepare(valid)
    y, x = np.meshgrid(
        np.arange(region.y, region.end_y) + 0.5, np.arange(region.x, region.end_x) + 0.5, indexing="ij"
    )
    return shapely.contains_xy(valid, x, y)


def polygon_of(points: Sequence[Point]) -> shapely.Polygon:
    """Return the shapely polygon in (x, y) of (y, x) points.

    Raises:
        ConfigError: Fewer than three points.
    """
    if len(points) < 3:
        raise ConfigError(f"A polygon needs three points, {len(points)} were given.")
    return shapely.Polygon([(x, y) for y, x in points])


def stroke_mask(shape: tuple[int, int], points: Sequence[Point], radius_px: float) -> Array:
    """Return the mask (H, W) of a brush stroke.

    A px is inside if its centre is near the line.

    Args:
        shape: (H, W) of the mask.
        points: Points (y, x) of the line.
        radius_px: Largest distance.
    """
    y, x = (np.arange(side) + 0.5 for side in shape)
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    near = np.full(shape, np.inf)
    ends = points if len(points) > 1 else [*points, *points]
    for (from_y, from_x), (to_y, to_x) in pairwise(ends):
        step_y, step_x = to_y - from_y, to_x - from_x
        length = step_y**2 + step_x**2
        along = ((grid_y - from_y) * step_y + (grid_x - from_x) * step_x) / (length or 1)
        along = np.clip(along, 0, 1)
        distance = np.hypot(grid_y - from_y - along * step_y, grid_x - from_x - along * step_x)
        near = np.minimum(near, distance)
    return near <= radius_px


def bounds_of(points: Sequence[Point], margin_px: float = 1) -> Region:
    """Return the region around (y, x) points, with a margin."""
    low = np.floor(np.min(points, axis=0) - margin_px).astype(int)
    high = np.ceil(np.max(points, axis=0) + margin_px).astype(int)
    return Region(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


def moved(points: Sequence[Point], window: Region) -> list[Point]:
    """Return (y, x) points relative to a window."""
    return [(y - window.y, x - window.x) for y, x in points]
