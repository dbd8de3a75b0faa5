"""Tables of named arrays, stored as npz files."""

import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from wsipipe.common.atomic_files import write_durable
from wsipipe.geometry import Array

Table = dict[str, Array]
Reduction = Callable[[dict[tuple[int, int], Table], Mapping[str, Table]], Table]
"""Function that joins partial tables by shard, given the tables of earlier stages by name."""


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


def write_reduced(work: Path, name: str, parts: Mapping[tuple[int, int], Path], reduce: Reduction) -> None:
    """Join the partial tables of a stage and store the result.

    Args:
        work: Work directory of the slide.
        name: Name of the stage and of its table.
        parts: Partial tables by (row, column) of the shard.
        reduce: Function of the partial tables and of the tables of earlier stages.
    """
    partials = {index: read_table(part) for index, part in parts.items()}
    tables = {other: read_table(path) for other, path in stored_tables(work).items()}
    write_durable(work / "tables" / f"{name}.npz", pack_table(reduce(partials, tables)))
