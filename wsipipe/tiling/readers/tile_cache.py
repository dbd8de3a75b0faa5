"""Keep decoded tiles for the reads beside them."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from wsipipe.tiling.readers.base import Pixels

KEPT_BYTES = 1 << 26


class TileCache:
    """Decoded tiles, those used last, up to a number of bytes.

    A tile is forgotten once all of its pixels have been used: regions that lie side by side use each pixel
    once, and memory that was used last is the fastest to use again. Threads may share the cache.

    Args:
        limit_bytes: Bytes of pixels that are kept at most.
    """

    def __init__(self, limit_bytes: int = KEPT_BYTES) -> None:
        self._limit = limit_bytes
        self._tiles: OrderedDict[Hashable, Pixels] = OrderedDict()
        self._unused_px: dict[Hashable, int] = {}
        self._held = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._tiles)

    def get(self, key: Hashable) -> Pixels | None:
        """Return a tile (H, W, C) uint8; None if it is not kept."""
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def put(self, key: Hashable, tile: Pixels, unused_px: int) -> None:
        """Keep a tile of which some pixels are still unused.

        Those unused for longest go first; a tile that is larger than the whole cache is not kept.
        """
        if tile.nbytes > self._limit or unused_px <= 0:
            return
        with self._lock:
            if key in self._tiles:
                return
            self._tiles[key] = tile
            self._unused_px[key] = unused_px
            self._held += tile.nbytes
            while self._held > self._limit:
                self._drop(next(iter(self._tiles)))

    def spend(self, key: Hashable, px: int) -> None:
        """Note that some pixels of a tile were used; forget it once all were."""
        with self._lock:
            if key in self._tiles:
                self._unused_px[key] -= px
                if self._unused_px[key] <= 0:
                    self._drop(key)

    def clear(self) -> None:
        """Forget every tile."""
        with self._lock:
            self._tiles.clear()
            self._unused_px.clear()
            self._held = 0

    def _drop(self, key: Hashable) -> None:
        self._held -= self._tiles.pop(key).nbytes
        del self._unused_px[key]
