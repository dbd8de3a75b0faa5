"""Rectangles, levels and the eight orientations; (y, x) everywhere."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Region:
    """Rectangle in whole pixels of a named level or array; may reach outside it.

    Attributes:
        y: First row.
        x: First column.
        height: Rows, >= 0.
        width: Columns, >= 0.
    """

    y: int
    x: int
    height: int
    width: int

    @property
    def end_y(self) -> int:
        """First row after the region."""
        return self.y + self.height

    @property
    def end_x(self) -> int:
        """First column after the region."""
        return self.x + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def area_px(self) -> int:
        """Pixels covered."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of this region in an array whose origin is (0, 0); needs y, x >= 0."""
        return slice(self.y, self.end_y), slice(self.x, self.end_x)

    def grown(self, px: int) -> "Region":
        """The region with ``px`` more pixels on each side."""
        return Region(self.y - px, self.x - px, self.height + 2 * px, self.width + 2 * px)

    def clipped(self, shape: tuple[int, int]) -> "Region":
        """The part inside an array of ``shape`` (height, width); empty parts have 0 px."""
        y, x = min(max(self.y, 0), shape[0]), min(max(self.x, 0), shape[1])
        end_y, end_x = min(max(self.end_y, y), shape[0]), min(max(self.end_x, x), shape[1])
        return Region(y, x, end_y - y, end_x - x)

    def meets(self, other: "Region") -> bool:
        """Whether the two share a pixel."""
        return self.y < other.end_y and other.y < self.end_y and self.x < other.end_x and other.x < self.end_x

    def intersection(self, other: "Region") -> "Region":
        """Return the part inside another region; 0 px where the two do not meet."""
        part = self.relative_to(other).clipped(other.shape)
        return Region(part.y + other.y, part.x + other.x, *part.shape)

    def blocks(self, height_px: int, width_px: int | None = None) -> Iterator["Region"]:
        """Split the region into blocks, row by row.

        Args:
            height_px: Rows of a block; fewer in the last row of blocks.
            width_px: Columns of a block; as many as rows by default.
        """
        width_px = width_px or height_px
        for y in range(self.y, self.end_y, height_px):
            for x in range(self.x, self.end_x, width_px):
                yield Region(y, x, min(height_px, self.end_y - y), min(width_px, self.end_x - x))

    def relative_to(self, outer: "Region") -> "Region":
        """The same rectangle, counted from ``outer``'s first pixel."""
        return Region(self.y - outer.y, self.x - outer.x, self.height, self.width)

    def scaled(self, numerator: int, denominator: int = 1) -> "Region":
        """The smallest region of a grid ``numerator / denominator`` times as fine that covers this one."""
        y, x = self.y * numerator // denominator, self.x * numerator // denominator
        end_y = -(-self.end_y * numerator // denominator)
        end_x = -(-self.end_x * numerator // denominator)
        return Region(y, x, end_y - y, end_x - x)

    def aligned(self, multiple: int) -> "Region":
        """The smallest region that covers this one with every edge on a multiple of ``multiple``."""
        return self.scaled(1, multiple).scaled(multiple)


def hull(regions: Iterable[Region]) -> Region:
    """Return the smallest region that contains all regions, at least one."""
    regions = list(regions)
    y, x = min(region.y for region in regions), min(region.x for region in regions)
    end_y, end_x = max(region.end_y for region in regions), max(region.end_x for region in regions)
    return Region(y, x, end_y - y, end_x - x)


@dataclass(frozen=True)
class Level:
    """One resolution of a slide.

    Attributes:
        index: 0 is the finest.
        height: Rows.
        width: Columns.
        mpp: Um per px, > 0.
        downsample: Level-0 px per px here, >= 1.
        origin: Where the first pixel begins, (y, x) in level-0 px; not 0 only in mirrored pyramids.
    """

    index: int
    height: int
    width: int
    mpp: float
    downsample: float
    origin: tuple[float, float] = (0.0, 0.0)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width


class Orientation(Enum):
    """The eight ways a rectangle lies on a pixel grid (the dihedral group D4).

    The value is (quarter turns counter-clockwise, then mirrored left-right).
    """

    R0 = (0, False)
    R90 = (1, False)
    R180 = (2, False)
    R270 = (3, False)
    M0 = (0, True)
    M90 = (1, True)
    M180 = (2, True)
    M270 = (3, True)

    def apply(self, array: Array, axes: tuple[int, int] = (0, 1)) -> Array:
        """``array`` turned, then mirrored, in the plane of ``axes`` (y, x); a view."""
        turns, mirrored = self.value
        turned = np.rot90(array, turns, axes=axes)
        return np.flip(turned, axis=axes[1]) if mirrored else turned

    def undo(self, array: Array, axes: tuple[int, int] = (0, 1)) -> Array:
        """The inverse of :meth:`apply`; a view."""
        turns, mirrored = self.value
        straight = np.flip(array, axis=axes[1]) if mirrored else array
        return np.rot90(straight, -turns, axes=axes)
