"""Fault injection for tests.

``WSIPIPE_FAULT=name:n`` makes a named fault point fail when it is reached for the n-th time, and from then
on. ``name:n@word`` counts only where the object being processed contains ``word``. Several faults are
separated by commas. With ``WSIPIPE_FAULT_ONCE=FOLDER`` a point fails once in all processes together. Without
``WSIPIPE_TEST=1`` nothing happens.
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
    "model.nan": "flag",
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
"""Effect of each point: the process dies or hangs, or an error is raised, or ``fault_point`` returns True."""

_passages: Counter[str] = Counter()


def fault_point(name: str, what: str = "") -> bool:
    """Fail here if a test requests it.

    Args:
        name: Name of the point, a key of :data:`POINTS`.
        what: Object being processed, such as the name of a slide.

    Returns:
        True if a fault is due at a point whose effect is ``flag``, else False.
    """
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
    """Return whether no process has failed at the point, if it may fail only once."""
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
            # Windows ends a process at once for any signal.
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(HANG_S)
        case "memory":
            raise MemoryError("injected fault")
        case "eio":
            raise OSError(errno.EIO, "injected fault")
        case "enospc":
            raise OSError(errno.ENOSPC, "injected fault")
    return True
