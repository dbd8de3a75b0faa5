"""Array-likes that read a requested region of a stored array.

They keep nothing, so memory is bounded.
"""

from collections.abc import Callable
from types import EllipsisType
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
import numpy.typing as npt

from wsipipe.geometry import Array, Region
from wsipipe.store.arrays import read_region

if TYPE_CHECKING:
    import zarr

Key = slice | SupportsIndex | EllipsisType
Read = Callable[[Region], Array]


class LazyArray:
    """One level (y, x) or (y, x, 3), read region by region.

    Args:
        shape: Shape of the level.
        dtype: Type of its pixels.
        read: Function that returns the pixels of a region inside the level.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike, read: Read) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._read = read

    @property
    def ndim(self) -> int:
        """Number of axes; 3 with colours, else 2."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Key | tuple[Key, ...]) -> Array:
        keys = key if isinstance(key, tuple) else (key,)
        full = slice(None)
        given = [*(full if isinstance(part, EllipsisType) else part for part in keys), full, full]
        spans, left = [], []
        for part, side in zip(given[:2], self.shape[:2], strict=True):
            start, stop, step = part.indices(side) if isinstance(part, slice) else _one(part, side)
            spans.append((start, max(start, stop)))
            left.append(slice(None, None, step) if isinstance(part, slice) else 0)
        (y, end_y), (x, end_x) = spans
        pixels = self._read(Region(y, x, end_y - y, end_x - x))
        return pixels[(*left, *given[2 : len(self.shape)])]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:, :], dtype)


def _one(index: SupportsIndex, side: int) -> tuple[int, int, int]:
    number = int(index)
    at = number + (side if number < 0 else 0)
    return at, at + 1, 1


def plane(array: "zarr.Array", channel: int | None = None) -> LazyArray:
    """Return a stored (y, x) array, or one channel of (c, y, x)."""

    def read(region: Region) -> Array:
        pixels = read_region(array, region, 0)
        return pixels if channel is None else pixels[channel]

    return LazyArray(array.shape[-2:], array.dtype, read)


def rgb(array: "zarr.Array") -> LazyArray:
    """Return a stored (3, y, x) array as (y, x, 3)."""

    def read(region: Region) -> Array:
        return np.ascontiguousarray(np.moveaxis(read_region(array, region, 255), 0, 2))

    return LazyArray((*array.shape[-2:], 3), array.dtype, read)


def outlined(shape: tuple[int, int], read: Read, dtype: npt.DTypeLike = np.uint32) -> LazyArray:
    """Return labels as outlines of one px.

    Args:
        shape: Shape of the level.
        read: Function that returns the labels of a region, which may extend beyond the level.
        dtype: Type of the labels.
    """
    return LazyArray(shape, dtype, lambda region: edges(read(region.grown(1))))


def edges(labels: Array) -> Array:
    """Return the labels at the edges of objects, else 0.

    A px is at an edge if one of its four neighbours has another label.

    Args:
        labels: Labels (h + 2, w + 2).

    Returns:
        Labels (h, w).
    """
    inner = labels[1:-1, 1:-1]
    same = (inner == labels[:-2, 1:-1]) & (inner == labels[2:, 1:-1])
    same &= (inner == labels[1:-1, :-2]) & (inner == labels[1:-1, 2:])
    return np.where(same, 0, inner).astype(labels.dtype)


def thinned(level: LazyArray, longest_px: int) -> list[LazyArray]:
    """Return pyramid levels of every second px.

    Args:
        level: The finest level.
        longest_px: Longest side of the coarsest level.
    """
    levels = [level]
    while max(levels[-1].shape[:2]) > longest_px:
        levels.append(_every_second(levels[-1]))
    return levels


def _every_second(finer: LazyArray) -> LazyArray:
    shape = tuple(-(-side // 2) for side in finer.shape[:2])

    def read(region: Region) -> Array:
        wide = region.scaled(2)
        return finer[wide.y : wide.end_y, wide.x : wide.end_x][::2, ::2]

    return LazyArray((*shape, *finer.shape[2:]), finer.dtype, read)
