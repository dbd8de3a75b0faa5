"""A file lock that the kernel releases when its process ends."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsipipe.common.atomic_files import private_folder, storage_errors
from wsipipe.errors import LockedError

_LONGEST_LINE = 200
_ATTEMPTS = 3
_BETWEEN_ATTEMPTS_S = 0.1


@contextmanager
def hold_lock(path: Path, what: str, shared: bool = False) -> Iterator[None]:
    """Hold a lock for this process.

    Args:
        path: Lock file; created if missing, never removed, because another process may be waiting for it.
        what: Object that is locked, for the error message.
        shared: Whether other processes may hold it too, all of them shared.

    Raises:
        LockedError: Another process holds the lock; names it and its start.
    """
    handle = _open(path)
    try:
        if not _acquired(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            raise LockedError(
                f"{what} is in use by {_holder(handle)}. Wait for it to end, or choose another --out."
            )
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        line = f"process {os.getpid()} on {socket.gethostname()} since {started}"
        if shared:
            # One write of a fixed length, because other holders write here too.
            line = f"one or more processes, the latest of them {line}".ljust(_LONGEST_LINE)[:_LONGEST_LINE]
        else:
            os.ftruncate(handle, 0)
        os.pwrite(handle, line.encode(), 0)
        yield
        if not shared:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold a lock for a moment, after every process that holds it now."""
    handle = _open(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    with storage_errors(path):
        private_folder(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _acquired(handle: int, kind: int) -> bool:
    """Lock a file; return whether that succeeded.

    A process that only asks for the holder has the lock for a moment, so one attempt is not enough.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_BETWEEN_ATTEMPTS_S)
        with suppress(BlockingIOError):
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return True
    return False


def holder_of(path: Path) -> str | None:
    """Return process, host and start of the lock's holder; None if it is free."""
    if not path.is_file():
        return None
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(handle)
    finally:
        os.close(handle)
    return None


def _holder(handle: int) -> str:
    # The holder writes this line just after it has acquired the lock.
    for _ in range(10):
        found = os.pread(handle, _LONGEST_LINE, 0).decode(errors="replace").strip()
        if found:
            return found
        time.sleep(0.1)
    return "another process"
