"""Tables of named arrays, stored as npz files."""

import io
from functools import lru_cache
from pathlib import Path

import numpy as np

from wsipipe.geometry import Array

Table = dict[str, Array]


def pack_table(table: Table) -> bytes:
    """Encode a table as the bytes of an ``.npz`` file.

    The same arrays give the same bytes.
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: table[name] for name in sorted(table)})
    return buffer.getvalue()


def load_table(path: Path) -> Table:
    """Read a table and cache it until the file changes."""
    found = path.stat()
    return _load_table(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _load_table(path: Path, mtime_ns: int, size_bytes: int) -> Table:
    return read_table(path)


def read_table(path: Path) -> Table:
    """Read a table from an ``.npz`` file."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def stored_tables(work: Path) -> dict[str, Path]:
    """Return the tables of a work directory by name."""
    return {path.stem: path for path in sorted((work / "tables").glob("*.npz"))}
