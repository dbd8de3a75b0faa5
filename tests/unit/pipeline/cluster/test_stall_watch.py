"""A task that died by itself is not stopped again, one that hangs is, and no other process ever."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from wsipipe.pipeline.cluster.attempts import STALLED, lines_of, process_start_time
from wsipipe.pipeline.cluster.stall_watch import StallWatch


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def watched(markers: Path, line: str, timeout_s: float = 0.0) -> tuple[list[str], list[str]]:
    """What is in the marker, and what was said, after two looks at it."""
    said: list[str] = []
    watch = StallWatch(SimpleNamespace(), markers, timeout_s)
    watch.messages["tile"] = said.append
    (markers / "tile").write_text(line)
    for _ in range(2):
        watch.look()
        time.sleep(0.01)
    return lines_of(markers / "tile"), said


def test_a_hung_process_is_stopped(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    line = f"{socket.gethostname()} {sleeper.pid} {process_start_time(sleeper.pid)}\n"
    lines, said = watched(tmp_path, line)
    assert lines[1:] == [STALLED]
    assert "no progress" in said[0]
    assert sleeper.wait(timeout=30) == -9


def test_within_its_time_it_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    line = f"{socket.gethostname()} {sleeper.pid} {process_start_time(sleeper.pid)}\n"
    assert watched(tmp_path, line, timeout_s=60) == ([line.strip()], [])
    assert sleeper.poll() is None


def test_a_reused_number_is_another_process(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    line = f"{socket.gethostname()} {sleeper.pid} 12345\n"
    assert watched(tmp_path, line) == ([line.strip()], [])
    assert watched(tmp_path, f"{socket.gethostname()} {1 << 30} 1\n")[1] == []
    assert sleeper.poll() is None
    assert os.getpid() != sleeper.pid


def test_each_process_has_its_own_time(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    watch = StallWatch(SimpleNamespace(), tmp_path, timeout_s=0.5)
    marker = tmp_path / "tile"
    marker.write_text(f"elsewhere 1 1\n{STALLED}\n")
    watch.look()
    time.sleep(1)
    with marker.open("a") as file:
        file.write(f"{socket.gethostname()} {sleeper.pid} {process_start_time(sleeper.pid)}\n")
    watch.look()
    assert sleeper.poll() is None
    time.sleep(1)
    watch.look()
    assert sleeper.wait(timeout=30) == -9


def test_a_task_that_begins_after_its_slide_was_given_up_is_stopped_too(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    """Nobody waits for it, but it would keep its worker from every other slide."""
    client = SimpleNamespace(status="running")
    watch = StallWatch(client, tmp_path, timeout_s=0.5)
    watch.begin()
    watch.begin()
    time.sleep(0.1)
    (tmp_path / "tile").write_text(
        f"{socket.gethostname()} {sleeper.pid} {process_start_time(sleeper.pid)}\n"
    )
    try:
        assert sleeper.wait(timeout=60) == -9
    finally:
        client.status = "closed"
