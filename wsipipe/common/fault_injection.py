"""Faults on purpose: ``WSIPIPE_FAULT=name:n`` makes the n-th passage of a named point, and later ones, fail.

``name:n@word`` counts only where ``word`` is part of what is worked on; several are parted by commas. Inert
unless ``WSIPIPE_TEST=1``. With ``WSIPIPE_FAULT_ONCE=FOLDER`` a point fires once in all processes.
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


def fault_point(name: str, what: str = "") -> bool:
    """Passes the point ``name``; fails there if that was asked for, or returns True for ``say`` points."""
    if os.environ.get("WSIPIPE_TEST") != "1":
        return False
    for wanted in os.environ.get("WSIPIPE_FAULT", "").split(","):
        point, _, rest = wanted.partition(":")
        count, _, word = rest.partition("@")
        if point == name and word in what:
            _passages[wanted] += 1
            if _passages[wanted] >= int(count or 1) and _first(name):
                return _fail(POINTS[name])
    return False


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
