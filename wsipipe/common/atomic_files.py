"""Files that survive a power failure, and their SHA-256.

A file is written under a temporary name, synced to disk with its folder, and renamed.
"""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsipipe.common.disk_sync import move, sync_content, sync_folder, sync_handle
from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import StorageError, StorageFullError, WsipipeError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PROBE_BYTES = 1 << 16


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Convert an OSError into a StorageError that names the file and the remedy."""
    try:
        yield
    except (WsipipeError, FileNotFoundError, ConnectionError, TimeoutError):
        raise
    except OSError as error:
        if error.errno is None:
            # A lost connection to a worker, not the disk.
            raise
        if error.errno in _FULL:
            raise StorageFullError(
                f"Writing {path} failed: {error.strerror}. Free space there and run the same command again; "
                f"finished shards are kept."
            ) from error
        raise StorageError(
            f"Writing {path} failed: {error.strerror or error}. Check the disk and its permissions, then run "
            f"the same command again."
        ) from error


def is_full(folder: Path) -> bool:
    """Return whether a folder's disk is full: not even a small file can be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            sync_handle(file.fileno())
    except OSError as error:
        return error.errno in _FULL
    return False


def sync_folders(root: Path) -> None:
    """Sync the entries of ``root`` and of every folder below it to disk."""
    for folder, _, _ in os.walk(root):
        sync_folder(Path(folder))


def make_folders(folder: Path) -> None:
    """Create a folder and its missing parents, synced to disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def private_folder(folder: Path) -> None:
    """Create a folder that only its owner can enter, synced to disk.

    The modes of the files in it do not matter then. On Windows it has the permissions of the folder above.
    """
    make_folders(folder)
    folder.chmod(0o700)


def sync_file(path: Path) -> None:
    """Sync a file's bytes and its entry to disk."""
    fault_point("durable.fsync")
    sync_content(path)
    sync_folder(path.parent)


def write_durable(path: Path, data: bytes) -> None:
    """Write a file atomically, synced to disk.

    Raises:
        StorageError: Writing failed; names the file.
    """
    with storage_errors(path):
        make_folders(path.parent)
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_bytes(data)
        sync_file(temporary)
        move(temporary, path)
        sync_folder(path.parent)


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON with sorted keys, synced to disk."""
    write_durable(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """Return indented JSON with sorted keys; equal values give equal bytes."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
