"""Read tiled slides by decoding their tiles here.

OpenSlide tells the levels, the scale and the vendor, and reads what is not decoded here.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock, local

import numpy as np

from wsipipe.common.random_access import RandomAccessFile
from wsipipe.common.thread_work import for_each, thread_count
from wsipipe.geometry import Region
from wsipipe.tiling.readers.base import Facts, Pixels, Reader, open_error
from wsipipe.tiling.readers.tile_cache import TileCache
from wsipipe.tiling.readers.tile_grid import Piece, TileGrid, pieces_of

_GAP_BYTES = 1 << 12
_LARGEST_TILE_BYTES = 1 << 26
_RUNS_PER_THREAD = 4

Run = list[int]
"""Tiles that lie one after another in the file."""


class DirectReader:
    """Reader that decodes tiles in threads into the array asked for.

    A tile that does not decode here is read by OpenSlide, which decides whether it is damaged. Tiles that
    reach out of a region are kept for the reads beside it. Several threads may read at once.

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
        self._file: RandomAccessFile | None = None
        self._cache = TileCache()
        self._threads = thread_count()
        self.facts: Facts = replace(slide.facts, concurrent=True, decoder="tiles")

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """Read RGB and alpha of a region; see :class:`base.Reader`."""
        grid = self._grids[level]
        if grid is None:
            with self._lock:
                return self._slide.read_level(level, region)
        file = self._opened()
        rgb = np.empty((*region.shape, 3), np.uint8)
        wanted, missing = {}, []
        for piece in pieces_of(grid, region, self.facts.shapes[level]):
            kept = self._cache.get((level, piece.number))
            if kept is not None:
                rgb[piece.into] = kept[piece.part]
                self._cache.spend((level, piece.number), piece.px)
            elif grid.sizes[piece.number]:
                wanted[piece.number] = piece
            else:
                missing.append(piece)

        def decode(run: Run) -> None:
            for index, data in _data_of(file, grid, run):
                piece = wanted[index]
                tile = self._decoded(level, grid, piece, data)
                rgb[piece.into] = tile[piece.part]
                self._cache.put((level, index), tile, piece.unused_px)

        for_each(decode, _runs(grid, list(wanted), self._threads), self._threads)
        return rgb, _clear(rgb, missing) if missing else None

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._lock:
            # A read in another thread still holds the file, which closes when that read ends.
            self._file = None
            self._slide.close()
        self._cache.clear()

    def _opened(self) -> RandomAccessFile:
        with self._lock:
            if self._file is None:
                try:
                    self._file = RandomAccessFile(self._path)
                except OSError as error:
                    raise open_error(self._path, error.strerror or error, "check its disk") from error
            return self._file

    def _decoded(self, level: int, grid: TileGrid, piece: Piece, data: bytes) -> Pixels:
        """Return the RGB of a tile, (H, W, 3) uint8.

        Where the tile is not kept, it is valid until the thread's next tile.

        Raises:
            SlideError: OpenSlide cannot read it either.
        """
        shape = (*grid.tile, 3)
        # New memory for each tile costs as much as a copy, so only tiles that are kept get it.
        into = np.empty(shape, np.uint8) if piece.unused_px else _scratch(shape)
        try:
            return grid.decode(data, into)
        except Exception:  # decoders raise anything
            part = grid.region_of(piece.number).clipped(self.facts.shapes[level])
            with self._lock:
                return self._slide.read_level(level, part)[0]


_scratches = local()


def _scratch(shape: tuple[int, ...]) -> Pixels:
    """Return an array of this thread, valid until its next tile."""
    kept = getattr(_scratches, "array", None)
    if kept is None or kept.shape != shape:
        kept = _scratches.array = np.empty(shape, np.uint8)
    return kept


def _clear(rgb: Pixels, missing: list[Piece]) -> Pixels:
    """Clear missing tiles; return alpha (H, W) uint8."""
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    for piece in missing:
        rgb[piece.into] = 0
        alpha[piece.into] = 0
    return alpha


def _runs(grid: TileGrid, indices: list[int], threads: int) -> list[Run]:
    """Group tiles that lie together in the file.

    Groups are small enough to give work to all threads.
    """
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


def _data_of(file: RandomAccessFile, grid: TileGrid, run: Run) -> Iterator[tuple[int, bytes]]:
    """Yield each tile of a run with its compressed bytes; none where these cannot be read."""
    start, last = grid.offsets[run[0]], run[-1]
    length = grid.offsets[last] + grid.sizes[last] - start
    try:
        data = file.read(start, length) if length <= len(run) * _LARGEST_TILE_BYTES else b""
    except OSError:  # OpenSlide will meet it again and say so
        data = b""
    for index in run:
        at = grid.offsets[index] - start
        yield index, data[at : at + grid.sizes[index]]
