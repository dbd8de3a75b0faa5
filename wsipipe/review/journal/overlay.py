"""Published labels and the changes in force -> labels as reviewed, of any region, in bounded memory."""

import threading
from functools import lru_cache
from typing import Any

import numpy as np

from wsipipe.geometry import Array, Region
from wsipipe.review.journal.pixel_diff import Change
from wsipipe.store.arrays import read_region

_TILE_PX = 1024
_BLOCK_PX, _BLOCKS_KEPT = 512, 64
"""Published px are decoded in blocks, the last of which are kept: 64 MB of ids."""


class Reviewed:
    """Level 0 of one label image with changes on top; several threads may read it.

    Args:
        published: Opened array (y, x).
        outside: Value beyond it.
    """

    def __init__(self, published: Any, outside: int = 0) -> None:
        self.published = published
        self.shape: tuple[int, int] = published.shape
        self._outside = outside
        self._changes: list[Change] = []
        self._tiles: dict[tuple[int, int], list[int]] = {}
        self._lock = threading.Lock()
        self._block = lru_cache(_BLOCKS_KEPT)(self._read_block)

    def push(self, change: Change) -> None:
        """Puts a change on top."""
        with self._lock:
            number = len(self._changes)
            self._changes.append(change)
            for tile in _cells(change.box, _TILE_PX):
                self._tiles.setdefault(tile, []).append(number)

    def pop(self) -> Change:
        """Takes the topmost change off."""
        with self._lock:
            change = self._changes.pop()
            for tile in _cells(change.box, _TILE_PX):
                self._tiles[tile].pop()
            return change

    def read(self, region: Region) -> Array:
        """(height, width) as it stands; a missing shard raises StorageError."""
        pixels = self._as_published(region)
        for change in self._meeting(region):
            change.put(pixels, region)
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
        """Which changes, by their order from 0, may lie in a region."""
        with self._lock:
            found = {number for tile in _cells(region, _TILE_PX) for number in self._tiles.get(tile, ())}
            return sorted(number for number in found if self._changes[number].box.meets(region))

    def boxes(self) -> list[Region]:
        """Where the changes lie, oldest first."""
        with self._lock:
            return [change.box for change in self._changes]

    def _meeting(self, region: Region) -> list[Change]:
        numbers = self.numbers_in(region)
        with self._lock:
            return [self._changes[number] for number in numbers if number < len(self._changes)]


def _cells(box: Region, side_px: int) -> list[tuple[int, int]]:
    """Squares of a grid that a region meets: (row, column)."""
    cells = box.scaled(1, side_px)
    return [(y, x) for y in range(cells.y, cells.end_y) for x in range(cells.x, cells.end_x)]
