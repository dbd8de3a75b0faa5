"""Published labels with the edits in force applied on reading."""

import threading
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from wsipipe.geometry import Array, Region
from wsipipe.review.journal.pixel_diff import PixelDiff
from wsipipe.store.arrays import read_region

if TYPE_CHECKING:
    import zarr

_TILE_PX = 1024
_BLOCK_PX, _BLOCKS_KEPT = 512, 64
"""Published px are decoded in blocks, and the last ones are kept: 64 MB of ids."""


class LabelOverlay:
    """Level 0 of one label image with pixel diffs on top.

    Any region is read in bounded memory, also by several threads.

    Args:
        published: Opened array (y, x).
        outside: Value outside of the array.
    """

    def __init__(self, published: "zarr.Array", outside: int = 0) -> None:
        self.published = published
        self.shape: tuple[int, int] = published.shape
        self._outside = outside
        self._diffs: list[PixelDiff] = []
        self._tiles: dict[tuple[int, int], list[int]] = {}
        self._lock = threading.Lock()
        self._block = lru_cache(_BLOCKS_KEPT)(self._read_block)

    def push(self, diff: PixelDiff) -> None:
        """Add a diff on top."""
        with self._lock:
            number = len(self._diffs)
            self._diffs.append(diff)
            for tile in _cells(diff.box, _TILE_PX):
                self._tiles.setdefault(tile, []).append(number)

    def pop(self) -> PixelDiff:
        """Remove the topmost diff."""
        with self._lock:
            diff = self._diffs.pop()
            for tile in _cells(diff.box, _TILE_PX):
                self._tiles[tile].pop()
            return diff

    def read(self, region: Region) -> Array:
        """Read the current labels (height, width) of a region.

        Raises:
            StorageError: A published shard is missing.
        """
        pixels = self._as_published(region)
        for diff in self._meeting(region):
            diff.apply(pixels, region)
        return pixels

    def _as_published(self, region: Region) -> Array:
        pixels = np.full(region.shape, self._outside, self.published.dtype)
        for y, x in _cells(region.clipped(self.shape), _BLOCK_PX):
            block = Region(y * _BLOCK_PX, x * _BLOCK_PX, _BLOCK_PX, _BLOCK_PX).clipped(self.shape)
            part = region.relative_to(block).clipped(block.shape)
            pixels[part.relative_to(region.relative_to(block)).slices] = self._block(block)[part.slices]
        return pixels

    def _read_block(self, block: Region) -> Array:
        return read_region(self.published, block, self._outside)

    def numbers_in(self, region: Region) -> list[int]:
        """Return numbers, from 0, of diffs near a region.

        The box of each meets the region.
        """
        with self._lock:
            found = {number for tile in _cells(region, _TILE_PX) for number in self._tiles.get(tile, ())}
            return sorted(number for number in found if self._diffs[number].box.meets(region))

    def boxes(self) -> list[Region]:
        """Return the boxes of the diffs, oldest first."""
        with self._lock:
            return [diff.box for diff in self._diffs]

    def _meeting(self, region: Region) -> list[PixelDiff]:
        numbers = self.numbers_in(region)
        with self._lock:
            return [self._diffs[number] for number in numbers if number < len(self._diffs)]


def _cells(box: Region, side_px: int) -> list[tuple[int, int]]:
    """Return (row, column) of the grid cells that a region meets."""
    cells = box.scaled(1, side_px)
    return [(y, x) for y in range(cells.y, cells.end_y) for x in range(cells.x, cells.end_x)]
