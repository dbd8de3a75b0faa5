"""Read tiled slides by decoding their tiles here.

OpenSlide tells the levels, the scale and the vendor, and reads what is not decoded here.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
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

    A tile that does not decode here is read by OpenSlide, which decides whether it is damaged. Tiles at the
    border of a region are kept for the reads beside it. Several threads may read at once.

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
        self.facts: Facts = replace(slide.facts, concurrent=True)

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """Read RGB and alpha of a region; see :class:`base.Reader`."""
        grid = self._grids[level]
        if grid is None:
            with self._lock:
                return self._slide.read_level(level, region)
        target = _Target(region)
        indices = list(grid.tiles_of(region))
        border = _border(grid, region)
        missing = [index for index in indices if grid.sizes[index] == 0]
        wanted = []
        for index in indices:
            kept = self._cache.get((level, index))
            if kept is not None:
                target.place(kept, grid.region_of(index))
            elif grid.sizes[index]:
                wanted.append(index)
        file = self._opened()

        def decode(run: Run) -> None:
            for index, data in _data_of(file, grid, run):
                tile = self._decoded(level, grid, index, data)
                target.place(tile, grid.region_of(index))
                if index in border:
                    self._cache.put((level, index), tile)

        for_each(decode, _runs(grid, wanted))
        return target.rgb, target.without([grid.region_of(index) for index in missing])

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

    def _decoded(self, level: int, grid: TileGrid, index: int, data: bytes) -> Pixels:
        """Return the RGB of a tile, (H, W, 3) uint8.

        Raises:
            SlideError: OpenSlide cannot read it either.
        """
        try:
            return grid.decode(data)
        except Exception:  # decoders raise anything
            part = grid.region_of(index).clipped(self.facts.shapes[level])
            with self._lock:
                return self._slide.read_level(level, part)[0]


class _Target:
    """Array of one read; threads fill different parts of it."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self.rgb: Pixels = np.empty((*region.shape, 3), np.uint8)

    def place(self, tile: Pixels, covered: Region) -> None:
        """Copy the part of a tile that lies in the region."""
        part = covered.intersection(self._region)
        self.rgb[part.relative_to(self._region).slices] = tile[part.relative_to(covered).slices]

    def without(self, missing: list[Region]) -> Pixels | None:
        """Clear missing tiles; return alpha (H, W) uint8, None if nothing is missing."""
        if not missing:
            return None
        alpha = np.full(self._region.shape, 255, np.uint8)
        for covered in missing:
            at = covered.intersection(self._region).relative_to(self._region).slices
            self.rgb[at] = 0
            alpha[at] = 0
        return alpha


def _border(grid: TileGrid, region: Region) -> set[int]:
    """Return the outermost tiles of a region, which the reads beside it may need again."""
    tiles = region.scaled(1, grid.tile[0]), region.scaled(1, grid.tile[1])
    rows, columns = (tiles[0].y, tiles[0].end_y - 1), (tiles[1].x, tiles[1].end_x - 1)
    places = (divmod(index, grid.across) for index in grid.tiles_of(region))
    return {row * grid.across + column for row, column in places if row in rows or column in columns}


def _runs(grid: TileGrid, indices: list[int]) -> list[Run]:
    """Group tiles that lie one after another in the file, in groups small enough for all threads."""
    most = max(1, len(indices) // (_RUNS_PER_THREAD * thread_count()))
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
