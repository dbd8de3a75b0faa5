"""Local Zarr store that checks the length of Blosc chunks."""

from pathlib import Path

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

_BLOSC_HEADER_BYTES = 16


class CheckedStore(LocalStore):
    """Read-only local store with a check of Blosc chunks.

    Blosc does not check the length of its input: it decodes a truncated chunk from whatever follows in
    memory.

    Attributes:
        blosc_arrays: Paths of arrays whose whole chunks are compressed by Blosc.
    """

    def __init__(self, root: Path | str, *, read_only: bool = True) -> None:
        super().__init__(root, read_only=read_only)
        self.blosc_arrays: set[str] = set()

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the bytes of a file; None if absent.

        Raises:
            ValueError: A Blosc chunk is truncated.
        """
        return self._checked(key, byte_range, await super().get(key, prototype, byte_range))

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the bytes of a file; see :meth:`get`."""
        found = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        return self._checked(key, byte_range, found)

    def _checked(self, key: str, byte_range: ByteRequest | None, found: Buffer | None) -> Buffer | None:
        if found is None or byte_range is not None or not self._is_blosc_chunk(key):
            return found
        # Source: Blosc 1 chunk format: bytes 12 to 15 are the size of the whole chunk.
        wanted = int.from_bytes(found[12:_BLOSC_HEADER_BYTES].to_bytes(), "little")
        if len(found) < _BLOSC_HEADER_BYTES or len(found) < wanted:
            raise ValueError(f"the chunk {key} was cut short, to {len(found)} of {wanted} bytes")
        return found

    def _is_blosc_chunk(self, key: str) -> bool:
        if key.rpartition("/")[2] in {"zarr.json", ".zarray", ".zattrs"}:
            return False
        return any(key.startswith(f"{path}/") for path in self.blosc_arrays)
