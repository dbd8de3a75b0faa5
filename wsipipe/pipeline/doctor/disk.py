"""Disk of the results: space, speed, renames and locks."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from wsipipe.common.atomic_files import write_durable
from wsipipe.common.disk_sync import move, sync_handle
from wsipipe.common.file_lock import hold_lock, holder_of
from wsipipe.errors import StorageError
from wsipipe.pipeline.doctor.finding import Finding, examined

TOPIC = "disk"
_BLOCK_BYTES, _BLOCKS = 1 << 22, 8
_SLOW_MB_PER_S = 30.0


def disk(out: Path) -> list[Finding]:
    """Examine the disk of a folder; what is written there is deleted again.

    Args:
        out: Folder of results; it, or a folder above it, exists.
    """
    folder = next(each for each in (out.absolute(), *out.absolute().parents) if each.is_dir())
    free = f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free at {folder}"
    remedy = "Choose an --out folder that you can write to."
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".wsipipe-doctor-") as name:
            scratch = Path(name)
            return [
                Finding(TOPIC, "space", "ok", free),
                _speed(scratch),
                examined(TOPIC, "rename", remedy, lambda: _rename(scratch)),
                examined(
                    TOPIC,
                    "locks",
                    "Choose an --out folder on a disk with file locks.",
                    lambda: _lock(scratch),
                ),
            ]
    except OSError as error:
        return [Finding(TOPIC, "space", "failed", f"{folder}: {error.strerror}", remedy)]


def _speed(folder: Path) -> Finding:
    block, path, began = os.urandom(_BLOCK_BYTES), folder / "speed", time.monotonic()
    with path.open("wb") as file:
        for _ in range(_BLOCKS):
            file.write(block)
            file.flush()
            sync_handle(file.fileno())
    megabytes = _BLOCK_BYTES * _BLOCKS / 1e6 / max(time.monotonic() - began, 1e-6)
    value = f"{megabytes:,.0f} MB/s, each {_BLOCK_BYTES / 1e6:.0f} MB synced to disk"
    if megabytes >= _SLOW_MB_PER_S:
        return Finding(TOPIC, "speed", "ok", value)
    return Finding(TOPIC, "speed", "note", value, "Choose a local disk for --out; tiling waits for this one.")


def _rename(folder: Path) -> str:
    (folder / "made").mkdir()
    write_durable(folder / "made" / "file", b"content")
    move(folder / "made", folder / "published")
    if (folder / "published" / "file").read_bytes() != b"content":
        raise StorageError("the renamed folder has another content")
    return "a folder is published by one rename"


def _lock(folder: Path) -> str:
    path = folder / "lock"
    with hold_lock(path, "the examination"):
        if holder_of(path) is None:
            raise StorageError("a lock that is held appears free")
    return "a held lock is seen"
