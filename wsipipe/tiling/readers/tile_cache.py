"""Keep decoded tiles for the reads beside them."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from wsipipe.tiling.readers.base import Pixels

KEPT_BYTES = 1 << 26


class TileCache:
    """Decoded tiles, those used last, up to a number of bytes.

    Threads may share it.

    Args:
        limit_bytes: Bytes of pixels that are kept at most.
    """

    def __init__(self, limit_bytes: int = KEPT_BYTES) -> None:
        self._limit = limit_bytes
        self._tiles: OrderedDict[Hashable, Pixels] = OrderedDict()
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

    def put(self, key: Hashable, tile: Pixels) -> None:
        """Keep a tile, and forget those unused for longest.

        A tile that is larger than the whole cache is not kept.
        """
        if tile.nbytes > self._limit:
            return
        with self._lock:
            if key in self._tiles:
                return
            self._tiles[key] = tile
            self._held += tile.nbytes
            while self._held > self._limit:
                self._held -= self._tiles.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forget every tile."""
        with self._lock:
            self._tiles.clear()
            self._held = 0
