"""Regions, slide levels and orientations, in (y, x)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Region:
    """A rectangle in whole pixels of a level or array.

    It may extend beyond the level or array.

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
        """Index into an array with origin (0, 0).

        Needs y, x >= 0.
        """
        return slice(self.y, self.end_y), slice(self.x, self.end_x)

    def grown(self, px: int) -> "Region":
        """Return the region with ``px`` more pixels on each side."""
        return Region(self.y - px, self.x - px, self.height + 2 * px, self.width + 2 * px)

    def clipped(self, shape: tuple[int, int]) -> "Region":
        """Return the part inside an array of ``shape`` (height, width).

        It has 0 px where the region lies outside the array.
        """
        y, x = min(max(self.y, 0), shape[0]), min(max(self.x, 0), shape[1])
        end_y, end_x = min(max(self.end_y, y), shape[0]), min(max(self.end_x, x), shape[1])
        return Region(y, x, end_y - y, end_x - x)

    def meets(self, other: "Region") -> bool:
        """Return whether two regions share a pixel."""
        return self.y < other.end_y and other.y < self.end_y and self.x < other.end_x and other.x < self.end_x

    def intersection(self, other: "Region") -> "Region":
        """Return the part inside another region.

        It has 0 px if the regions do not meet.
        """
        part = self.relative_to(other).clipped(other.shape)
        return Region(part.y + other.y, part.x + other.x, *part.shape)

    def blocks(self, height_px: int, width_px: int | None = None) -> Iterator["Region"]:
        """Split the region into blocks, row by row.

        Args:
            height_px: Rows per block; fewer in the last row of blocks.
            width_px: Columns per block; default: ``height_px``.
        """
        width_px = width_px or height_px
        for y in range(self.y, self.end_y, height_px):
            for x in range(self.x, self.end_x, width_px):
                yield Region(y, x, min(height_px, self.end_y - y), min(width_px, self.end_x - x))

    def relative_to(self, outer: "Region") -> "Region":
        """Return the region in coordinates of ``outer``."""
        return Region(self.y - outer.y, self.x - outer.x, self.height, self.width)

    def scaled(self, numerator: int, denominator: int = 1) -> "Region":
        """Return the smallest covering region of another grid.

        Args:
            numerator: Pixels of the other grid per ``denominator`` pixels of this one.
            denominator: Pixels of this grid.
        """
        y, x = self.y * numerator // denominator, self.x * numerator // denominator
        end_y = -(-self.end_y * numerator // denominator)
        end_x = -(-self.end_x * numerator // denominator)
        return Region(y, x, end_y - y, end_x - x)

    def aligned(self, multiple: int) -> "Region":
        """Return the smallest covering region on multiples.

        All edges are multiples of ``multiple``.
        """
        return self.scaled(1, multiple).scaled(multiple)


def hull(regions: Iterable[Region]) -> Region:
    """Return the smallest region that contains all regions."""
    regions = list(regions)
    y, x = min(region.y for region in regions), min(region.x for region in regions)
    end_y, end_x = max(region.end_y for region in regions), max(region.end_x for region in regions)
    return Region(y, x, end_y - y, end_x - x)


@dataclass(frozen=True)
class Level:
    """One resolution level of a slide.

    Attributes:
        index: Number of the level, 0 is the finest.
        height: Rows.
        width: Columns.
        mpp: Micrometres per pixel, > 0.
        downsample: Level-0 px per px of the level, >= 1.
        origin: Start of the first pixel, (y, x) in level-0 px; not 0 only in mirrored pyramids.
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
    """The eight orientations of a pixel grid (the dihedral group D4).

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
        """Rotate, then mirror an array.

        Both are in the plane of ``axes``, (y, x).

        Returns:
            A view of the array.
        """
        turns, mirrored = self.value
        rotated = np.rot90(array, turns, axes=axes)
        return np.flip(rotated, axis=axes[1]) if mirrored else rotated

    def undo(self, array: Array, axes: tuple[int, int] = (0, 1)) -> Array:
        """Invert :meth:`apply`.

        Returns:
            A view of the array.
        """
        turns, mirrored = self.value
        unmirrored = np.flip(array, axis=axes[1]) if mirrored else array
        return np.rot90(unmirrored, -turns, axes=axes)
