"""Read tiled slides by decoding their tiles here.

OpenSlide tells the levels, the scale and the vendor, and reads what is not decoded here.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock, local
from typing import BinaryIO

import numpy as np

from wsipipe.geometry import Region
from wsipipe.tiling.readers.base import Facts, Pixels, Reader
from wsipipe.tiling.readers.decode_pool import for_each, thread_count
from wsipipe.tiling.readers.tile_cache import TileCache
from wsipipe.tiling.readers.tile_grid import TileGrid

_GAP_BYTES = 1 << 12
_LARGEST_TILE_BYTES = 1 << 26
_RUNS_PER_THREAD = 4

Run = list[int]
"""Tiles that lie one after another in the file."""


class DirectReader:
    """Reader that decodes tiles in threads into the array asked for.

    A tile that does not decode here is read by OpenSlide, which decides whether it is damaged. Tiles that reach
    out of a region are kept for the reads beside it. Several threads may read at once.

    Args:
        path: Path of the slide.
        slide: Reader of the same file through OpenSlide.
        grids: Tiles of each level; None for levels that OpenSlide reads.
    """

    def __init__(self, path: Path, slide: Reader, grids: tuple[TileGrid | None, ...]) -> None:
        self._slide = slide
        self._grids = grids
        self._lock = Lock()
        self._path = path
        self._file: BinaryIO | None = None
        self._cache = TileCache()
        self._threads = thread_count()
        self.facts: Facts = replace(slide.facts, concurrent=True)

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """Read RGB and alpha of a region; see :class:`base.Reader`."""
        grid = self._grids[level]
        if grid is None:
            with self._lock:
                return self._slide.read_level(level, region)
        file = self._opened()
        target = _Target(grid, region)
        shape = (*grid.tile, 3)
        wanted, missing = [], []
        for index in grid.tiles_of(region):
            kept = self._cache.get((level, index))
            if kept is not None:
                target.place(kept, index)
            else:
                (wanted if grid.sizes[index] else missing).append(index)

        def decode(run: Run) -> None:
            for index, data in _data_of(file, grid, run):
                inside = target.holds(index)
                # New memory for each tile costs as much as a copy, so only tiles that are kept get it.
                into = _scratch(shape) if inside else np.empty(shape, np.uint8)
                tile = self._decoded(level, grid, index, data, into)
                target.place(tile, index)
                if not inside:
                    self._cache.put((level, index), tile)

        for_each(decode, _runs(grid, wanted, self._threads), self._threads)
        return target.rgb, target.without(missing)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._lock:
            # A read in another thread still holds the file, which closes when that read ends.
            self._file = None
            self._slide.close()
        self._cache.clear()

    def _opened(self) -> BinaryIO:
        with self._lock:
            if self._file is None:
                self._file = self._path.open("rb", buffering=0)
            return self._file

    def _decoded(self, level: int, grid: TileGrid, index: int, data: bytes, into: Pixels) -> Pixels:
        """Return the RGB of a tile, (H, W, 3) uint8, decoded into an array of that shape.

        Raises:
            SlideError: OpenSlide cannot read it either.
        """
        try:
            return grid.decode(data, into)
        except Exception:  # decoders raise anything
            part = grid.region_of(index).clipped(self.facts.shapes[level])
            with self._lock:
                return self._slide.read_level(level, part)[0]


_scratches = local()


def _scratch(shape: tuple[int, ...]) -> Pixels:
    """Return an array of this thread, valid until its next tile."""
    kept = getattr(_scratches, "array", None)
    if kept is None or kept.shape != shape:
        kept = _scratches.array = np.empty(shape, np.uint8)
    return kept


class _Target:
    """Array of one read; threads fill different parts of it."""

    def __init__(self, grid: TileGrid, region: Region) -> None:
        self._grid, self._region = grid, region
        self.rgb: Pixels = np.empty((*region.shape, 3), np.uint8)

    def holds(self, index: int) -> bool:
        """Return whether all of a tile lies in the region."""
        y, x, end_y, end_x = self._corners(index)
        region = self._region
        return region.y <= y and end_y <= region.end_y and region.x <= x and end_x <= region.end_x

    def place(self, tile: Pixels, index: int) -> None:
        """Copy the part of a tile that lies in the region."""
        region = self._region
        y, x, end_y, end_x = self._corners(index)
        top, left = max(y, region.y), max(x, region.x)
        end_y, end_x = min(end_y, region.end_y), min(end_x, region.end_x)
        into = self.rgb[top - region.y : end_y - region.y, left - region.x : end_x - region.x]
        into[:] = tile[top - y : end_y - y, left - x : end_x - x]

    def _corners(self, index: int) -> tuple[int, int, int, int]:
        """Return y, x, end y and end x of a tile in px of the level."""
        height, width = self._grid.tile
        row, column = divmod(index, self._grid.across)
        return row * height, column * width, (row + 1) * height, (column + 1) * width

    def without(self, missing: list[int]) -> Pixels | None:
        """Clear missing tiles; return alpha (H, W) uint8, None if nothing is missing."""
        if not missing:
            return None
        alpha = np.full(self._region.shape, 255, np.uint8)
        for index in missing:
            covered = self._grid.region_of(index).intersection(self._region)
            at = covered.relative_to(self._region).slices
            self.rgb[at] = 0
            alpha[at] = 0
        return alpha


def _runs(grid: TileGrid, indices: list[int], threads: int) -> list[Run]:
    """Group tiles that lie one after another in the file, in groups small enough for all threads."""
    most = max(1, len(indices) // (_RUNS_PER_THREAD * threads))
    runs: list[Run] = []
    for index in indices:
        last = runs[-1][-1] if runs else None
        if last is not None and len(runs[-1]) < most:
            gap = grid.offsets[index] - grid.offsets[last] - grid.sizes[last]
            if 0 <= gap <= _GAP_BYTES and grid.sizes[index] <= _LARGEST_TILE_BYTES:
                runs[-1].append(index)
                continue
        runs.append([index])
    return runs


def _data_of(file: BinaryIO, grid: TileGrid, run: Run) -> Iterator[tuple[int, bytes]]:
    """Yield each tile of a run with its compressed bytes; none where these cannot be read."""
    start, last = grid.offsets[run[0]], run[-1]
    length = grid.offsets[last] + grid.sizes[last] - start
    try:
        data = os.pread(file.fileno(), length, start) if length <= len(run) * _LARGEST_TILE_BYTES else b""
    except OSError:  # OpenSlide will meet it again and say so
        data = b""
    for index in run:
        at = grid.offsets[index] - start
        yield index, data[at : at + grid.sizes[index]]
