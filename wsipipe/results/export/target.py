"""Write an export in one step: whole, or not at all."""

import hashlib
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsipipe.common.atomic_files import make_folders, storage_errors, sync_file
from wsipipe.common.disk_sync import move, sync_folder
from wsipipe.errors import ConfigError
from wsipipe.store.manifest import Manifest

_PARTIAL = re.compile(r"\.(\d+)-([0-9a-f]{8})-[0-9a-f]{32}(\.plain)?\.partial")
"""Name of a temporary file: process, hash of the host's name, a random number."""


def check_target(path: Path, *, overwrite: bool, marker: str = "") -> None:
    """Check that an export may be written, before any work.

    Args:
        path: File or folder to write.
        overwrite: Whether it may replace an earlier export.
        marker: Name that every folder of the format holds; empty for a file.

    Raises:
        ConfigError: It may not.
    """
    if not os.path.lexists(path):
        return
    if bool(marker) != path.is_dir():
        is_a = "folder" if path.is_dir() else "file"
        raise ConfigError(f"{path} cannot be written: a {is_a} has that name. Name another with --to.")
    if not overwrite:
        raise ConfigError(f"{path} exists already. Name another with --to, or replace it with --overwrite.")
    if marker and not (path / marker).exists():
        raise ConfigError(
            f"{path} cannot be replaced: it is a folder, but no earlier export of this format. Name another "
            "with --to."
        )


def check_not_published(path: Path, slide: Path, manifest: Manifest) -> None:
    """Check that an export would not replace a file of the result.

    Args:
        path: File or folder to write.
        slide: Folder of the result.
        manifest: Files of the result.

    Raises:
        ConfigError: It would.
    """
    inside = path.resolve()
    folder = slide.resolve()
    if inside == folder or folder.is_relative_to(inside):
        raise ConfigError(f"{path} holds the result itself. Name another place with --to.")
    if not inside.is_relative_to(folder):
        return
    name = inside.relative_to(folder).as_posix()
    if name.partition("/")[0] == "slide.zarr" or name in manifest["files"]:
        raise ConfigError(f"{path} belongs to the result. Name another place with --to.")


@contextmanager
def new_target(path: Path) -> Iterator[Path]:
    """Provide a temporary path beside the target, renamed when all is written.

    Whatever ends the block early, nothing is left, and an earlier export stays as it was. What a killed
    process left in the same folder is deleted.

    Raises:
        StorageError: Writing failed; names the target.
    """
    partial = path.with_name(f".{os.getpid()}-{_host()}-{uuid.uuid4().hex}.partial")
    with storage_errors(path):
        make_folders(path.parent)
        for left in _left_behind(path.parent):
            _remove(left)
        try:
            yield partial
            _put(partial, path)
        finally:
            _remove(partial)


def _left_behind(folder: Path) -> list[Path]:
    """Return temporary files of processes of this host that no longer run."""
    found = ((path, _PARTIAL.fullmatch(path.name)) for path in folder.glob(".*.partial"))
    return [path for path, name in found if name and name[2] == _host() and not _runs(int(name[1]))]


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _put(partial: Path, path: Path) -> None:
    if partial.is_file():
        sync_file(partial)
        move(partial, path)
    else:
        # A folder cannot replace another in one step; the old one is back if the second step fails.
        old = path.with_name(f".{uuid.uuid4().hex}.replaced")
        had_one = path.exists()
        if had_one:
            move(path, old)
        try:
            move(partial, path)
        except OSError:
            if had_one:
                move(old, path)
            raise
        _remove(old)
    sync_folder(path.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
