"""Writes of a file that changes often, at a pace that bounds what they cost.

The record of a large batch takes a second to write. Written after each change, it would cost the square of
the number of slides.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from wsipipe.errors import StorageError

PAUSE = 20.0
"""Time from one write to the next, in units of the time that the first took."""


class PacedWrites:
    """Calls of a function that writes a file, at most a twentieth of the time.

    The last change is always written, after a pause if need be. Errors of the storage are ignored.

    Args:
        write: Function that writes the file; called while ``lock`` is held.
        lock: Lock of what the function writes.
    """

    def __init__(self, write: Callable[[], object], lock: threading.Lock) -> None:
        self._write, self._lock = write, lock
        self._next = 0.0
        self._timer: threading.Timer | None = None
        self._closed = False

    def changed(self) -> None:
        """Write now, or after the pause; the caller holds the lock."""
        if self._closed or self._timer is not None:
            return
        wait_s = self._next - time.monotonic()
        if wait_s <= 0:
            self._write_now()
            return
        self._timer = threading.Timer(wait_s, self._write_late)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """Write what is not written yet, and nothing after that."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._write_now()
            self._closed = True

    def _write_late(self) -> None:
        with self._lock:
            if self._timer is not None and not self._closed:
                self._write_now()

    def _write_now(self) -> None:
        self._timer = None
        began = time.monotonic()
        with suppress(StorageError):
            self._write()
        ended = time.monotonic()
        self._next = ended + PAUSE * (ended - began)
