"""File locks by ``flock``, which Linux and macOS have."""

import fcntl
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

if sys.platform == "win32":
    raise ImportError("Windows has no flock")


def lock(path: Path, shared: bool = False, wait: bool = False) -> Callable[[], None] | None:
    """Lock a file; return the function that unlocks it, None if it is in use.

    Args:
        path: The file; it exists.
        shared: Whether other processes may hold the lock too, all of them shared.
        wait: Whether to wait until the file is free.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    return _locked(os.open(path, os.O_RDWR), kind if wait else kind | fcntl.LOCK_NB)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock without sharing it."""
    unlock = _locked(os.open(path, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)
    if unlock:
        unlock()
    return unlock is None


def _locked(handle: int, how: int) -> Callable[[], None] | None:
    # The lock belongs to this handle: it ends with it, also when the process is killed.
    unlock = partial(os.close, handle)
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        unlock()
        return None
    except BaseException:
        unlock()
        raise
    return unlock
