"""Close the gaps of a straight structure along lines.

Lines run in 16 directions, a set of whole pixels that the eight orientations map onto itself.
"""

import math
from collections.abc import Iterator

import numpy as np

from wsipipe.geometry import Array

_OCTANT_DEGREES = (0.0, 11.25, 22.5, 33.75, 45.0)
Offset = tuple[int, int]


def bridged(mask: Array, reach_px: int) -> Array:
    """Return a mask with its gaps closed along lines.

    A pixel belongs to it if it lies on a short line between two of the mask.

    Args:
        mask: (H, W) bool.
        reach_px: Longest distance of the two along the line.

    Returns:
        (H, W) bool.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size or reach_px < 2:
        return mask
    # Bridges lie within the box of the mask.
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = mask[box]
    padded, found = np.pad(inside, reach_px), mask.copy()
    for line in directions(reach_px):
        ahead = _distances(padded, line, reach_px)
        behind = _distances(padded, [(-y, -x) for y, x in line], reach_px)
        found[box] |= ahead + behind <= reach_px
    return found


def directions(reach_px: int) -> Iterator[list[Offset]]:
    """Yield the offsets (y, x) of each direction at the distances 1 to ``reach_px``."""
    seen = set()
    for degrees in _OCTANT_DEGREES:
        sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
        # Offsets of the first octant are rounded; all others are their images.
        first = [(int(step * sine + 0.5), int(step * cosine + 0.5)) for step in range(1, reach_px + 1)]
        flipped = [(-y, x) for y, x in first]
        for line in (first, flipped, [(x, y) for y, x in first], [(x, y) for y, x in flipped]):
            key = frozenset([*line, *((-y, -x) for y, x in line)])
            if key not in seen:
                seen.add(key)
                yield line


def _distances(padded: Array, line: list[Offset], reach_px: int) -> Array:
    """Return the distance to the first pixel of a mask along a line, (h, w) int32.

    Args:
        padded: The mask with ``reach_px`` on each side, bool.
        line: Offsets at the distances 1, 2 and so on.
        reach_px: Largest distance; one more where there is no pixel.
    """
    height, width = (side - 2 * reach_px for side in padded.shape)
    found = np.full((height, width), reach_px + 1, np.int32)
    for distance in range(len(line), 0, -1):
        y, x = line[distance - 1]
        there = padded[reach_px + y : reach_px + y + height, reach_px + x : reach_px + x + width]
        found[there] = distance
    return found
