"""A file lock that the kernel releases when its process ends."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsipipe.common.atomic_files import private_folder, storage_errors
from wsipipe.errors import LockedError

_LONGEST_LINE = 200


@contextmanager
def hold_lock(path: Path, what: str) -> Iterator[None]:
    """Hold a lock for this process.

    Args:
        path: Lock file; created if missing, never removed, because another process may be waiting for it.
        what: Object that is locked, for the error message.

    Raises:
        LockedError: Another process holds the lock; names it and its start.
    """
    with storage_errors(path):
        private_folder(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(
                f"{what} is in use by {_holder(handle)}. Wait for it to end, or choose another --out."
            ) from error
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        line = f"process {os.getpid()} on {socket.gethostname()} since {started}"
        os.ftruncate(handle, 0)
        os.pwrite(handle, line.encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


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
        found = os.pread(handle, _LONGEST_LINE, 0).decode(errors="replace")
        if found:
            return found
        time.sleep(0.1)
    return "another process"
