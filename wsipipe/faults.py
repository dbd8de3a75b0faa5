"""Faults on purpose: ``WSIPIPE_FAULT=name:n`` makes the n-th passage of a named point fail.

Inert unless ``WSIPIPE_TEST=1``. With ``WSIPIPE_FAULT_ONCE=FOLDER`` a point fires once in all processes.
"""

import errno
import os
import signal
import time
from collections import Counter
from pathlib import Path

HANG_S = 3600.0
POINTS = {
    "reader.open": "eio",
    "reader.read": "eio",
    "reader.hang": "hang",
    "model.load": "eio",
    "model.nan": "say",
    "model.oom": "memory",
    "worker.segfault": "segfault",
    "worker.poison": "kill",
    "shard.before_write": "kill",
    "shard.after_write": "kill",
    "shard.full": "enospc",
    "shard.eio": "eio",
    "durable.fsync": "kill",
    "ledger.before_commit": "kill",
    "ledger.after_commit": "kill",
    "manifest.written": "kill",
    "publish.before_rename": "kill",
    "publish.after_rename": "kill",
    "scheduler.death": "kill",
}
"""What happens at each point: the process dies or hangs, an error is raised, or :func:`reach` says True."""

_passages: Counter[str] = Counter()


def reach(name: str) -> bool:
    """Passes the point ``name``; fails there if that was asked for, or returns True for ``say`` points."""
    if os.environ.get("WSIPIPE_TEST") != "1" or "WSIPIPE_FAULT" not in os.environ:
        return False
    wanted, _, count = os.environ["WSIPIPE_FAULT"].partition(":")
    if wanted != name:
        return False
    _passages[name] += 1
    if _passages[name] < int(count or 1) or not _first(name):
        return False
    return _fail(POINTS[name])


def _first(name: str) -> bool:
    """Whether no process fired the point yet; always so where nobody asked for once."""
    folder = os.environ.get("WSIPIPE_FAULT_ONCE")
    if folder is None:
        return True
    try:
        (Path(folder) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _fail(how: str) -> bool:
    match how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(HANG_S)
        case "memory":
            raise MemoryError("a fault on purpose")
        case "eio":
            raise OSError(errno.EIO, "a fault on purpose")
        case "enospc":
            raise OSError(errno.ENOSPC, "a fault on purpose")
    return True
