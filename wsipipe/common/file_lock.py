"""A file lock that the system releases when its process ends."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from wsipipe.common.atomic_files import private_folder, storage_errors
from wsipipe.errors import LockedError

_LONGEST_LINE = 200
_ATTEMPTS = 3
_BETWEEN_ATTEMPTS_S = 0.1

Unlock = Callable[[], None]


class Locks(Protocol):
    """How a system locks files."""

    def lock(self, path: Path, shared: bool = False, wait: bool = False) -> Unlock | None:
        """Lock a file; return the function that unlocks it, None if it is in use."""

    def is_locked(self, path: Path) -> bool:
        """Return whether a process holds the lock without sharing it."""


def _system_locks() -> Locks:
    """Return the locks of this system: those of the kernel where they can be shared."""
    try:
        from wsipipe.common import kernel_locks
    except ImportError:
        from wsipipe.common import lock_files

        return lock_files
    return kernel_locks


LOCKS = _system_locks()


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
    _create(path)
    unlock = _acquired(path, shared)
    if unlock is None:
        raise LockedError(
            f"{what} is in use by {_holder(path)}. Wait for it to end, or choose another --out."
        )
    try:
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        line = f"process {os.getpid()} on {socket.gethostname()} since {started}"
        if shared:
            # One write of a fixed length, because other holders write here too.
            line = f"one or more processes, the latest of them {line}".ljust(_LONGEST_LINE)[:_LONGEST_LINE]
        _write(path, line, truncate=not shared)
        yield
        if not shared:
            _write(path, "", truncate=True)
    finally:
        unlock()


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold a lock for a moment, after every process that holds it now."""
    _create(path)
    unlock = LOCKS.lock(path, wait=True)
    try:
        yield
    finally:
        if unlock:
            unlock()


def try_lock(path: Path) -> Unlock | None:
    """Lock an existing file; return the function that unlocks it, None if it is in use."""
    return LOCKS.lock(path)


def _create(path: Path) -> None:
    with storage_errors(path):
        private_folder(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _write(path: Path, line: str, truncate: bool) -> None:
    with path.open("r+b", buffering=0) as file:
        if truncate:
            file.truncate(0)
        if line:
            file.write(line.encode())


def _acquired(path: Path, shared: bool) -> Unlock | None:
    """Lock a file; return how to unlock it, None if it is in use.

    A process that only asks for the holder has the lock for a moment, so one attempt is not enough.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_BETWEEN_ATTEMPTS_S)
        if unlock := LOCKS.lock(path, shared):
            return unlock
    return None


def holder_of(path: Path) -> str | None:
    """Return process, host and start of the lock's holder; None if it is free."""
    return _holder(path) if path.is_file() and LOCKS.is_locked(path) else None


def _holder(path: Path) -> str:
    # The holder writes this line just after it has acquired the lock.
    for _ in range(10):
        found = path.read_bytes()[:_LONGEST_LINE].decode(errors="replace").strip()
        if found:
            return found
        time.sleep(0.1)
    return "another process"
