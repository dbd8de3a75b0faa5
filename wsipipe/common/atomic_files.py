"""Files that survive a power cut, and their digests: write, fsync file and folder, rename."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import StorageError, StorageFullError, WsipipeError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PROBE_BYTES = 1 << 16


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns an OSError of the file system into a StorageError that names the file and the remedy."""
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
            f"Writing {path} failed: {error.strerror or error}. Mend the disk or the permissions and run the "
            f"same command again."
        ) from error


def is_full(folder: Path) -> bool:
    """Whether a small file can no longer be written there for want of space."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in _FULL
    return False


def sync_folder(folder: Path) -> None:
    """Makes the folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folders(root: Path) -> None:
    """Makes the entries of ``root`` and of every folder below it durable."""
    for folder, _, _ in os.walk(root):
        sync_folder(Path(folder))


def make_folders(folder: Path) -> None:
    """Makes ``folder`` and what is missing above it, durably."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def private_folder(folder: Path) -> None:
    """Makes ``folder``, durably, for nobody else to enter, whatever the modes of the files in it."""
    make_folders(folder)
    folder.chmod(0o700)


def sync_file(path: Path) -> None:
    """Makes the file's bytes and its entry durable."""
    fault_point("durable.fsync")
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    sync_folder(path.parent)


def write_durable(path: Path, data: bytes) -> None:
    """Writes ``path`` whole or not at all, and durably.

    Raises:
        StorageError: The file system refused; names the file.
    """
    with storage_errors(path):
        make_folders(path.parent)
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_bytes(data)
        sync_file(temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as readable JSON with sorted keys, durably."""
    write_durable(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Readable JSON with sorted keys; the same value gives the same bytes."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
