"""Labels of a window and what a person wants -> labels after; pure functions on small arrays (y, x).

Each nucleus stays one 4-connected object: what an act cuts off becomes a nucleus of its own, or background
where it is a sliver.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from scipy import ndimage

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region

Point = tuple[float, float]
SLIVER_PX = 4
"""Cut-off parts up to this size are background."""


def whole(after: Array, ids: Iterable[int], next_id: int) -> Array:
    """Labels (H, W) -> the same with each of ``ids`` one 4-connected object.

    The largest part keeps the id (the first in raster order among equals), others get new ids.

    Args:
        after: Labels, a copy that may be changed.
        ids: That may have come apart; whole in the window.
        next_id: First unused id.
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
    """One nucleus -> two or more, along a line, or across its longest axis where none is given.

    Args:
        labels: Window (H, W).
        identity: The nucleus, whole in the window.
        next_id: First unused id.
        line: (y, x) points in px of the window; it has to cross the nucleus.

    Raises:
        ConfigError: The line does not cut it, or it is too small.
    """
    inside = labels == identity
    cut = _cut_by(inside, line) if line else _halves(inside)
    parts, count = ndimage.label(inside & (cut == 1))
    others, more = ndimage.label(inside & (cut == 2))
    parts[others > 0] = others[others > 0] + count
    areas = np.bincount(parts.ravel(), minlength=count + more + 1)[1:]
    if np.count_nonzero(areas > SLIVER_PX) < 2:
        raise ConfigError(
            f"Nucleus {identity} was to be split, but the cut leaves one piece; draw the line right across "
            f"it."
        )
    return _numbered(labels, inside, parts, areas, identity, next_id)


def _halves(inside: Array) -> Array:
    """1 and 2 on either side of the middle of the longest axis, 0 outside."""
    y, x = np.nonzero(inside)
    if y.size < 2:
        return inside.astype(np.uint8)
    points = np.stack([y - y.mean(), x - x.mean()])
    axis = np.linalg.eigh(points @ points.T)[1][:, -1]
    cut = np.zeros(inside.shape, np.uint8)
    cut[y, x] = 1 + (axis @ points > 0)
    return cut


def _cut_by(inside: Array, line: Sequence[Point]) -> Array:
    """1 in the largest piece that the line leaves, 2 in the others; px on the line go to the nearest."""
    parts, count = ndimage.label(inside & ~stroke(inside.shape, line, 0.75))
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
    """Several nuclei -> one with the smallest of their ids.

    Raises:
        ConfigError: They do not touch.
    """
    after = labels.copy()
    together = np.isin(labels, ids)
    if ndimage.label(together)[1] != 1:
        raise ConfigError(
            f"Nuclei {', '.join(map(str, ids))} were to be merged, but they do not touch; paint the gap "
            f"between "
            f"them first."
        )
    after[together] = min(ids)
    return after


def filled(labels: Array, inside: Array, identity: int, over: bool = False) -> Array:
    """Labels with ``identity`` where ``inside``; other nuclei give way only if ``over``."""
    free = inside if over else inside & ((labels == 0) | (labels == identity))
    return np.where(free, np.uint32(identity), labels)


def polygon(region: Region, outline: Any) -> Array:
    """Px (height, width) bool of a region whose centre lies in a shapely polygon (x, y), holes left out."""
    valid = outline if outline.is_valid else shapely.make_valid(outline)
    shapely.prepare(valid)
    y, x = np.meshgrid(
        np.arange(region.y, region.end_y) + 0.5, np.arange(region.x, region.end_x) + 0.5, indexing="ij"
    )
    return shapely.contains_xy(valid, x, y)


def outline_of(points: Sequence[Point]) -> Any:
    """(y, x) points -> a shapely polygon in (x, y).

    Raises:
        ConfigError: Fewer than three points.
    """
    if len(points) < 3:
        raise ConfigError(f"A polygon needs three points, {len(points)} were given.")
    return shapely.Polygon([(x, y) for y, x in points])


def stroke(shape: tuple[int, int], points: Sequence[Point], radius_px: float) -> Array:
    """Px (H, W) bool whose centre lies within ``radius_px`` of a line through (y, x) points."""
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


def around(points: Sequence[Point], margin_px: float = 1) -> Region:
    """The smallest region that holds (y, x) points and a margin."""
    low = np.floor(np.min(points, axis=0) - margin_px).astype(int)
    high = np.ceil(np.max(points, axis=0) + margin_px).astype(int)
    return Region(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
