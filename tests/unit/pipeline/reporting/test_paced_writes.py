"""Writes take a twentieth of the time, and the last change is always written."""

import threading
import time

import pytest

from wsipipe.errors import StorageError
from wsipipe.pipeline.reporting import paced_writes
from wsipipe.pipeline.reporting.paced_writes import PacedWrites


class File:
    """A file whose writing takes two seconds of a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.content, self.written = 100.0, 0, [-1]
        self.lock = threading.Lock()
        self.writes = PacedWrites(self.write, self.lock)
        self.waits: list[float] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(threading, "Timer", self.timer)

    def timer(self, wait_s: float, function: object) -> threading.Thread:
        self.waits.append(wait_s)
        self.late = function
        made = threading.Thread()
        made.cancel = lambda: None
        return made

    def write(self) -> None:
        self.now += 2
        self.written.append(self.content)

    def change(self, count: int = 1) -> None:
        for _ in range(count):
            with self.lock:
                self.content += 1
                self.writes.changed()


def test_many_changes_are_two_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    file = File(monkeypatch)
    file.change(1000)
    assert (file.written, file.waits) == ([-1, 1], [40])
    file.now += 40
    file.late()
    assert file.written == [-1, 1, 1000]
    file.now += 41
    file.change()
    assert file.written == [-1, 1, 1000, 1001]


def test_sister_without_a_pause_each_change_is_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced_writes, "PAUSE", 0)
    file = File(monkeypatch)
    file.change(1000)
    assert len(file.written) == 1001


def test_the_end_writes_what_is_left_and_nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    file = File(monkeypatch)
    file.change(2)
    file.writes.close()
    assert file.written == [-1, 1, 2]
    file.change()
    file.late()
    file.writes.close()
    assert file.written == [-1, 1, 2]


def test_a_write_that_fails_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    file = File(monkeypatch)

    def fails() -> None:
        raise StorageError("full")

    monkeypatch.setattr(file.writes, "_write", fails)
    file.change()
    monkeypatch.setattr(file.writes, "_write", file.write)
    file.change()
    assert file.written == [-1, 2]
