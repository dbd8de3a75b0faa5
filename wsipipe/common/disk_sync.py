"""Force data onto the disk, and rename, by the means of each system."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

WINDOWS = os.name == "nt"
_ATTEMPTS, _BETWEEN_S = 40, 0.05


def sync_handle(handle: int) -> None:
    """Force the content of an open file onto the disk."""
    if not _sync_drive(handle):
        os.fsync(handle)


def _sync_drive(handle: int) -> bool:
    """Force the content of a file out of the drive's own memory.

    On macOS ``fsync`` does not. Returns whether it was done.
    """
    if sys.platform == "darwin":
        import fcntl

        # Not on every file system.
        with suppress(OSError):
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return True
    return False


def sync_content(path: Path) -> None:
    """Force the content of a file onto the disk, not its name."""
    # Windows syncs only what is open for writing.
    handle = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        sync_handle(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder onto the disk.

    Windows has no means for that: NTFS writes names in order, but some time later.
    """
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_handle(handle)
    finally:
        os.close(handle)


def move(source: Path, target: Path) -> None:
    """Rename a file or folder in one step; replaces a file of that name.

    Windows refuses while another process has one of them open, such as a virus scanner or a reader of the
    earlier file, so it is tried for two seconds there.

    Raises:
        PermissionError: It is not allowed, or they are still open.
    """
    # On Windows only ``rename`` takes folders, and only ``replace`` takes the place of a file.
    rename = os.rename if source.is_dir() else os.replace
    _tried(lambda: rename(source, target))


def remove_folder(folder: Path) -> None:
    """Delete a folder with all that is in it; as patient as :func:`move`."""
    _tried(lambda: shutil.rmtree(folder))


def _tried(action: Callable[[], object]) -> None:
    for _ in range(_ATTEMPTS - 1 if WINDOWS else 0):
        with suppress(PermissionError):
            action()
            return
        time.sleep(_BETWEEN_S)
    action()
