"""Read a file at any place, from several threads at once."""

import os
from pathlib import Path
from threading import Lock


class RandomAccessFile:
    """An open file that closes when nothing refers to it any more."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._lock = Lock()

    @property
    def size_bytes(self) -> int:
        """Return the present size."""
        return os.fstat(self._file.fileno()).st_size

    def read(self, at: int, size: int) -> bytes:
        """Read bytes; fewer where the file ends.

        Args:
            at: Offset of the first byte.
            size: Number of bytes.
        """
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), size, at)
        # Windows: place and reading are two calls there.
        with self._lock:
            self._file.seek(at)
            return self._file.read(size)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
