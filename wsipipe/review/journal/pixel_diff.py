"""Pixels before and after -> what changed, as compressed run lengths; put on or taken off any region.

A change stores what it found as well as what it left, so it can be undone exactly and held against the
change of another reviewer.
"""

import base64
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from wsipipe.errors import StorageError
from wsipipe.geometry import Array, Region

_COLUMNS = ("start", "length", "before", "after")


@dataclass(frozen=True, eq=False)
class Change:
    """Changed pixels of one array.

    Attributes:
        array: ``nuclei`` or ``tissue_class``.
        box: Smallest region that holds them, in px of that array's level 0.
        runs: (n, 4) uint32: first px in the box (row by row), px, value before, value after.
    """

    array: str
    box: Region
    runs: Array

    @property
    def pixels(self) -> int:
        """Pixels changed."""
        return int(self.runs[:, 1].sum())

    @cached_property
    def areas(self) -> dict[int, int]:
        """Px that each value gained (above 0) or lost; values that broke even are there with 0."""
        gained: dict[int, int] = {}
        for _, length, before, after in self.runs.tolist():
            gained[before] = gained.get(before, 0) - length
            gained[after] = gained.get(after, 0) + length
        return gained

    def places(self) -> tuple[Array, Array, Array]:
        """(y, x) of each changed px (n,), and the number of its run (n,)."""
        lengths = self.runs[:, 1].astype(np.int64)
        run = np.repeat(np.arange(len(lengths)), lengths)
        first = np.cumsum(lengths) - lengths
        flat = self.runs[run, 0].astype(np.int64) + np.arange(run.size) - first[run]
        y, x = np.divmod(flat, self.box.width)
        return y + self.box.y, x + self.box.x, run

    def put(self, pixels: Array, region: Region, back: bool = False) -> None:
        """Writes the change into ``pixels`` (height, width) of ``region``; ``back`` takes it off instead."""
        if not region.meets(self.box):
            return
        y, x, run = self.places()
        y, x = y - region.y, x - region.x
        inside = (y >= 0) & (y < region.height) & (x >= 0) & (x < region.width)
        pixels[y[inside], x[inside]] = self.runs[run[inside], 2 if back else 3]

    def as_dict(self) -> dict[str, Any]:
        """For the journal."""
        packed = zlib.compress(self.runs.astype("<u4").tobytes(), 9)
        box = [self.box.y, self.box.x, self.box.height, self.box.width]
        return {"array": self.array, "box": box, "runs": base64.b64encode(packed).decode()}


def change_between(array: str, region: Region, before: Array, after: Array) -> Change | None:
    """Two states (height, width) of a region -> the change from one to the other, None if there is none."""
    differ = before != after
    if not differ.any():
        return None
    rows, columns = np.flatnonzero(differ.any(1)), np.flatnonzero(differ.any(0))
    inner = Region(
        int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    )
    old, new, changed = (part[inner.slices].ravel() for part in (before, after, differ))
    place = np.flatnonzero(changed)
    begins = np.ones(place.size, bool)
    begins[1:] = (
        (np.diff(place) != 1) | (old[place][1:] != old[place][:-1]) | (new[place][1:] != new[place][:-1])
    )
    first = np.flatnonzero(begins)
    lengths = np.diff(np.append(first, place.size))
    start = place[first]
    runs = np.stack([start, lengths, old[start], new[start]], axis=1).astype(np.uint32)
    box = Region(region.y + inner.y, region.x + inner.x, *inner.shape)
    return Change(array, box, runs)


def change_from(stored: dict[str, Any]) -> Change:
    """The inverse of :meth:`Change.as_dict`.

    Raises:
        StorageError: It is not what :meth:`Change.as_dict` writes.
    """
    try:
        box = Region(*map(int, stored["box"]))
        packed = zlib.decompress(base64.b64decode(stored["runs"]))
        runs = np.frombuffer(packed, "<u4").reshape(-1, len(_COLUMNS)).astype(np.uint32)
        return Change(str(stored["array"]), box, runs)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise StorageError(
            f"A journal holds a pixel change that does not decode ({error}); it was not written by wsipipe."
        ) from error
