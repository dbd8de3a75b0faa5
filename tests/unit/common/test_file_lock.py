"""A lock is held by one process, or by several that share it, and names its holder."""

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from wsipipe.common import file_lock
from wsipipe.common.file_lock import hold_lock, holder_of, wait_for_lock
from wsipipe.errors import LockedError


def test_holders_that_share_refuse_one_that_does_not(tmp_path: Path) -> None:
    path = tmp_path / "work" / "run.lock"
    with hold_lock(path, "OUT", shared=True), hold_lock(path, "OUT", shared=True):
        with pytest.raises(
            LockedError, match=r"^OUT is in use by one or more processes, the latest of them process \d+ on"
        ) as refused:
            hold_lock(path, "OUT").__enter__()
        assert "  " not in str(refused.value)
        assert holder_of(path) is None
    with hold_lock(path, "OUT"):
        assert holder_of(path) == f"process {os.getpid()} on " + holder_of(path).partition(" on ")[2]
        with pytest.raises(LockedError, match=r"in use by process \d+ on"):
            hold_lock(path, "OUT", shared=True).__enter__()
    assert holder_of(path) is None


def test_a_look_at_the_holder_refuses_no_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``wsipipe status`` holds the lock for a moment; the sister has one attempt only."""
    path = tmp_path / "run.lock"
    path.touch()

    def look(seconds: float) -> None:
        os.close(looker)

    monkeypatch.setattr(time, "sleep", look)
    looker = os.open(path, os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    with hold_lock(path, "OUT"):
        pass
    monkeypatch.setattr(file_lock, "_ATTEMPTS", 1)
    looker = os.open(path, os.O_RDONLY)
    path.write_text("process 1")
    fcntl.flock(looker, fcntl.LOCK_SH)
    with pytest.raises(LockedError):
        hold_lock(path, "OUT").__enter__()
    os.close(looker)


def test_a_lock_that_is_awaited_is_held_by_one(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with wait_for_lock(tmp_path / "report.lock"):
            order.append("second")

    thread = threading.Thread(target=second)
    with wait_for_lock(tmp_path / "report.lock"):
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
