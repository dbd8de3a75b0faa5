"""Idle time of a worker between its tasks."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_process_began = time.monotonic()


class _Thread(threading.local):
    """What one computing thread remembers of its tasks."""

    def __init__(self) -> None:
        self.last_end, self.idle_s = _process_began, 0.0


_thread = _Thread()


@contextmanager
def task_running() -> Iterator[None]:
    """Mark the time in which this thread runs a task."""
    _thread.idle_s = time.monotonic() - _thread.last_end
    try:
        yield
    finally:
        _thread.last_end = time.monotonic()


def idle_before_s() -> float:
    """Return how long this thread was idle before its present task, s.

    Before the first task it is the time since the worker loaded this module.
    """
    return _thread.idle_s
