"""Stored arrays -> array-likes that read only what is asked for and keep nothing: bounded memory."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wsipipe.geometry import Array, Region
from wsipipe.store.arrays import read_region

Read = Callable[[Region], Array]


class Lazy:
    """One level (y, x) or (y, x, 3), read region by region.

    Args:
        shape: Of the level.
        dtype: Of its pixels.
        read: Region inside the level -> its pixels.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, read: Read) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._read = read

    @property
    def ndim(self) -> int:
        """2, or 3 with colours."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Values in it."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Array:
        keys = key if isinstance(key, tuple) else (key,)
        keys = (*(slice(None) if part is Ellipsis else part for part in keys), slice(None), slice(None))
        spans, left = [], []
        for part, side in zip(keys[:2], self.shape[:2], strict=True):
            start, stop, step = part.indices(side) if isinstance(part, slice) else _one(part, side)
            spans.append((start, max(start, stop)))
            left.append(slice(None, None, step) if isinstance(part, slice) else 0)
        (y, end_y), (x, end_x) = spans
        pixels = self._read(Region(y, x, end_y - y, end_x - x))
        return pixels[(*left, *keys[2 : len(self.shape)])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:, :], dtype)


def _one(index: Any, side: int) -> tuple[int, int, int]:
    at = int(index) + (side if index < 0 else 0)
    return at, at + 1, 1


def plane(array: Any, channel: int | None = None) -> Lazy:
    """A stored (y, x) array, or one channel of (c, y, x), as it is."""

    def read(region: Region) -> Array:
        pixels = read_region(array, region, 0)
        return pixels if channel is None else pixels[channel]

    return Lazy(array.shape[-2:], array.dtype, read)


def rgb(array: Any) -> Lazy:
    """A stored (3, y, x) array as (y, x, 3)."""

    def read(region: Region) -> Array:
        return np.ascontiguousarray(np.moveaxis(read_region(array, region, 255), 0, 2))

    return Lazy((*array.shape[-2:], 3), array.dtype, read)


def outlined(shape: tuple[int, int], read: Read, dtype: Any = np.uint32) -> Lazy:
    """Labels that ``read`` gives for a region that may reach out -> outlines of one px inside."""
    return Lazy(shape, dtype, lambda region: edges(read(region.grown(1))))


def edges(labels: Array) -> Array:
    """Labels (h + 2, w + 2) -> (h, w), 0 but where one of four neighbours is of another label."""
    inner = labels[1:-1, 1:-1]
    same = (inner == labels[:-2, 1:-1]) & (inner == labels[2:, 1:-1])
    same &= (inner == labels[1:-1, :-2]) & (inner == labels[1:-1, 2:])
    return np.where(same, 0, inner).astype(labels.dtype)


def thinned(level: Lazy, longest_px: int) -> list[Lazy]:
    """A level without pyramid -> levels of every second px of the one before, until one fits."""
    levels = [level]
    while max(levels[-1].shape[:2]) > longest_px:
        levels.append(_every_second(levels[-1]))
    return levels


def _every_second(finer: Lazy) -> Lazy:
    shape = tuple(-(-side // 2) for side in finer.shape[:2])

    def read(region: Region) -> Array:
        wide = region.scaled(2)
        return finer[wide.y : wide.end_y, wide.x : wide.end_x][::2, ::2]

    return Lazy((*shape, *finer.shape[2:]), finer.dtype, read)


def class_outlines(shape: tuple[int, int], read: Read, number_of: Callable[[Array], Array]) -> Lazy:
    """Outlines in the number of each nucleus's class, uint8: whatever the ids, colours never alias.

    Args:
        shape: Of the level.
        read: Region that may reach out -> labels.
        number_of: Ids -> class numbers (n,), 0 for hidden.
    """

    def read_classes(region: Region) -> Array:
        lines = edges(read(region.grown(1)))
        ids, at = np.unique(lines, return_inverse=True)
        numbers = np.where(ids == 0, 0, number_of(ids))
        return numbers.astype(np.uint8)[at].reshape(lines.shape)

    return Lazy(shape, np.uint8, read_classes)
