"""Pixel changes stored as compressed run lengths.

A diff can be applied to or reverted from any region. It stores the values before and after, so it can be
undone exactly and compared with the diff of another reviewer.
"""

import base64
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np

from wsipipe.errors import StorageError
from wsipipe.geometry import Array, Region

_COLUMNS = ("start", "length", "before", "after")


class StoredDiff(TypedDict):
    """A pixel diff as JSON.

    Runs are base64 of zlib of (n, 4) little-endian uint32.
    """

    array: str
    box: list[int]
    runs: str


@dataclass(frozen=True, eq=False)
class PixelDiff:
    """Changed pixels of one array.

    Attributes:
        array: ``nuclei`` or ``tissue_class``.
        box: Smallest region that contains them, in px of that array's level 0.
        runs: (n, 4) uint32: first px in the box (row by row), px, value before, value after.
    """

    array: str
    box: Region
    runs: Array

    @property
    def pixels(self) -> int:
        """Number of changed pixels."""
        return int(self.runs[:, 1].sum())

    @cached_property
    def px_gained(self) -> dict[int, int]:
        """Pixels gained by each value; negative for a loss.

        A value that gained as many as it lost is listed with 0.
        """
        gained: dict[int, int] = {}
        for _, length, before, after in self.runs.tolist():
            gained[before] = gained.get(before, 0) - length
            gained[after] = gained.get(after, 0) + length
        return gained

    def positions(self) -> tuple[Array, Array, Array]:
        """Return y, x and run index of changed px (n,)."""
        lengths = self.runs[:, 1].astype(np.int64)
        run = np.repeat(np.arange(len(lengths)), lengths)
        first = np.cumsum(lengths) - lengths
        flat = self.runs[run, 0].astype(np.int64) + np.arange(run.size) - first[run]
        y, x = np.divmod(flat, self.box.width)
        return y + self.box.y, x + self.box.x, run

    def apply(self, pixels: Array, region: Region, revert: bool = False) -> None:
        """Write the new values into the pixels of a region.

        Args:
            pixels: Pixels (height, width) of the region, changed in place.
            region: Region in px of the array's level 0.
            revert: Write the old values instead.
        """
        if not region.meets(self.box):
            return
        y, x, run = self.positions()
        y, x = y - region.y, x - region.x
        inside = (y >= 0) & (y < region.height) & (x >= 0) & (x < region.width)
        pixels[y[inside], x[inside]] = self.runs[run[inside], 2 if revert else 3]

    def as_dict(self) -> StoredDiff:
        """Return the diff as stored in the journal."""
        packed = zlib.compress(self.runs.astype("<u4").tobytes(), 9)
        box = [self.box.y, self.box.x, self.box.height, self.box.width]
        return {"array": self.array, "box": box, "runs": base64.b64encode(packed).decode()}


def diff_between(array: str, region: Region, before: Array, after: Array) -> PixelDiff | None:
    """Return the diff of two states; None if equal.

    Args:
        array: ``nuclei`` or ``tissue_class``.
        region: Region in px of the array's level 0.
        before: Pixels (height, width).
        after: Pixels (height, width).
    """
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
    return PixelDiff(array, box, runs)


def diff_from(stored: StoredDiff) -> PixelDiff:
    """Return a diff from its stored form.

    The inverse of :meth:`PixelDiff.as_dict`.

    Raises:
        StorageError: The stored form is invalid.
    """
    try:
        box = Region(*map(int, stored["box"]))
        packed = zlib.decompress(base64.b64decode(stored["runs"]))
        runs = np.frombuffer(packed, "<u4").reshape(-1, len(_COLUMNS)).astype(np.uint32)
        return PixelDiff(str(stored["array"]), box, runs)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise StorageError(
            f"A journal could not be read: it holds a pixel change that does not decode ({error}). It was "
            "not written by wsipipe."
        ) from error
