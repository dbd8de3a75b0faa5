"""A lock has one holder, or several that share it."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wsipipe.common import file_lock, lock_files
from wsipipe.common.file_lock import hold_lock, holder_of, try_lock, wait_for_lock
from wsipipe.errors import LockedError

HOLD = """
import sys
from pathlib import Path
from wsipipe.common import file_lock
if sys.argv[3] == "lock_files":
    from wsipipe.common import lock_files
    file_lock.LOCKS = lock_files
with file_lock.hold_lock(Path(sys.argv[1]), "OUT", shared=sys.argv[2] == "shared"):
    print(flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["the system's", "lock_files"])
def locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each kind of locks; that of other systems works on all of them."""
    if request.param == "lock_files":
        monkeypatch.setattr(file_lock, "LOCKS", lock_files)
    return request.param


@pytest.mark.usefixtures("locks")
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
        assert try_lock(path) is None
    assert holder_of(path) is None
    with hold_lock(path, "OUT"):
        pass


@pytest.mark.parametrize("shared", ["shared", "alone"])
def test_the_lock_of_a_killed_process_is_free(shared: str, locks: str, tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    command = [sys.executable, "-c", HOLD, path, shared, locks]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(LockedError, match=f"process {holder.pid} on "):
            hold_lock(path, "OUT").__enter__()
        holder.kill()
    with hold_lock(path, "OUT"):
        pass
    with hold_lock(path, "OUT", shared=True):
        pass


def test_a_look_at_the_holder_refuses_no_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``wsipipe status`` holds the lock for a moment; the sister has one attempt only."""
    if file_lock.LOCKS is lock_files:
        pytest.skip("LOUD SKIP: there is no flock; its look at the holder is NOT tested")
    import fcntl

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


def test_two_looks_at_once_see_a_free_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes the file for a moment; the sister has one attempt."""
    path = tmp_path / "run.lock"
    held = tmp_path / "run.lock.held"
    unlock = lock_files._locked(held, 0)
    monkeypatch.setattr(lock_files.time, "sleep", lambda seconds: unlock())
    assert lock_files.is_locked(path) is False
    unlock = lock_files._locked(held, 0)
    monkeypatch.setattr(lock_files, "_ATTEMPTS", 1)
    assert lock_files.is_locked(path) is True
    unlock()


def test_locks_that_are_shared_leave_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "LOCKS", lock_files)
    with hold_lock(tmp_path / "run.lock", "OUT", shared=True):
        assert len(list(tmp_path.glob("run.lock.*.held"))) == 1
    assert list(tmp_path.glob("run.lock.*.held")) == []


@pytest.mark.usefixtures("locks")
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
