"""Measure the size of a folder."""

from pathlib import Path


def bytes_under(folder: Path) -> int:
    """Return the bytes of all files below a folder; files deleted meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
