"""File locks by further files, for systems without ``flock``.

The package filelock locks a whole file for one process by the means of the system, which also releases the
lock when the process is killed. On Windows no other process can read a locked file, and no lock is shared.
Hence ``NAME.held`` stands for the lock of a file ``NAME``, and every process that shares it locks a
``NAME.*.held`` of its own.
"""

import glob
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

_ENDING = ".held"
_ATTEMPTS, _BETWEEN_S = 3, 0.05


def lock(path: Path, shared: bool = False, wait: bool = False) -> Callable[[], None] | None:
    """Lock a file; return the function that unlocks it, None if it is in use.

    Args:
        path: The file.
        shared: Whether other processes may hold the lock too, all of them shared.
        wait: Whether to wait until the file is free.
    """
    own = path.with_name(f"{path.name}.{uuid.uuid4().hex}{_ENDING}") if shared else _only(path)
    while True:
        unlock = _locked(own, -1 if wait and not shared else 0)
        # Each looks at the others after it holds its own: of two that start together, at least one sees the
        # other.
        if unlock and shared:
            unlock = partial(_unlock_and_delete, unlock, own)
        if unlock and not (is_locked(path) if shared else _is_shared(path)):
            return unlock
        if unlock:
            unlock()
        if not wait:
            return None
        time.sleep(_BETWEEN_S)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock without sharing it."""
    return _in_use(_only(path))


def _only(path: Path) -> Path:
    return path.with_name(path.name + _ENDING)


def _is_shared(path: Path) -> bool:
    files = list(path.parent.glob(f"{glob.escape(path.name)}.*{_ENDING}"))
    used = [file for file in files if _in_use(file)]
    for file in set(files).difference(used):
        _delete(file)
    return bool(used)


def _locked(file: Path, timeout_s: float) -> Callable[[], None] | None:
    # Without thread_local, another thread than the one that locked may unlock.
    found = FileLock(file, thread_local=False)
    try:
        found.acquire(timeout=timeout_s)
    except Timeout:
        return None
    return found.release


def _in_use(file: Path) -> bool:
    """Return whether a process holds a file, which takes the lock for a moment.

    Others look in the same way, so one attempt is not enough.
    """
    if not file.exists():
        return False
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_BETWEEN_S)
        if unlock := _locked(file, 0):
            unlock()
            return False
    return True


def _unlock_and_delete(unlock: Callable[[], None], file: Path) -> None:
    unlock()
    _delete(file)


def _delete(file: Path) -> None:
    """Delete a file that no process locks again, because its name is never used twice."""
    # Another process may look at it just now; it is then left there.
    with suppress(OSError):
        file.unlink(missing_ok=True)
