"""Published labels and the changes in force -> labels as reviewed, of any region, in bounded memory."""

import threading
from typing import Any

from wsipipe.geometry import Array, Region
from wsipipe.review.change import Change
from wsipipe.store import read_region

_TILE_PX = 1024


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

    def push(self, change: Change) -> None:
        """Puts a change on top."""
        with self._lock:
            number = len(self._changes)
            self._changes.append(change)
            for tile in _tiles(change.box):
                self._tiles.setdefault(tile, []).append(number)

    def pop(self) -> Change:
        """Takes the topmost change off."""
        with self._lock:
            change = self._changes.pop()
            for tile in _tiles(change.box):
                self._tiles[tile].pop()
            return change

    def read(self, region: Region) -> Array:
        """(height, width) as it stands; a missing shard raises StorageError."""
        pixels = read_region(self.published, region, self._outside)
        changes = self._meeting(region)
        if changes and not pixels.flags.writeable:
            pixels = pixels.copy()
        for change in changes:
            change.put(pixels, region)
        return pixels

    def numbers_in(self, region: Region) -> list[int]:
        """Which changes, by their order from 0, may lie in a region."""
        with self._lock:
            found = {number for tile in _tiles(region) for number in self._tiles.get(tile, ())}
            return sorted(number for number in found if self._changes[number].box.meets(region))

    def boxes(self) -> list[Region]:
        """Where the changes lie, oldest first."""
        with self._lock:
            return [change.box for change in self._changes]

    def _meeting(self, region: Region) -> list[Change]:
        numbers = self.numbers_in(region)
        with self._lock:
            return [self._changes[number] for number in numbers if number < len(self._changes)]


def _tiles(box: Region) -> list[tuple[int, int]]:
    cells = box.scaled(1, _TILE_PX)
    return [(y, x) for y in range(cells.y, cells.end_y) for x in range(cells.x, cells.end_x)]
