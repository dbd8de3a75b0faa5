"""A task that died by itself is not stopped again, one that hangs is, and no other process ever."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from wsipipe.errors import WorkerLostError
from wsipipe.pipeline.cluster.attempts import STALLED, lines_of, process_start_time
from wsipipe.pipeline.cluster.client import connect
from wsipipe.pipeline.cluster.task_pool import TaskPool, _TaskBatch


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def watched(markers: Path, line: str, timeout_s: float = 0.0) -> tuple[list[str], list[str]]:
    """What is in the marker, and what was said, after two looks at it."""
    said: list[str] = []
    pool = TaskPool(SimpleNamespace(), markers, timeout_s, said.append)
    (markers / "tile").write_text(line)
    seen: dict[str, tuple[int, float]] = {}
    for _ in range(2):
        pool.stop_stalled({"tile", "other"}, seen)
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


def test_a_cancelled_task_that_hangs_gives_its_process_back(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    pool = TaskPool(SimpleNamespace(status="running"), tmp_path, timeout_s=0.5)
    (tmp_path / "tile").write_text(
        f"{socket.gethostname()} {sleeper.pid} {process_start_time(sleeper.pid)}\n"
    )
    pool._abandon({"tile", "never-begun"})
    assert sleeper.wait(timeout=60) == -9


def dies_thrice(earlier: int) -> int:
    if earlier < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return earlier


def test_a_worker_that_dies_as_soon_as_it_starts_is_started_again(tmp_path: Path) -> None:
    """The next process gets the deadly task before its nanny knows that it runs."""
    with connect(workers=1, threads=1) as client:
        assert TaskPool(client, tmp_path).call("deadly", dies_thrice) == 3


def test_a_result_that_is_lost_after_its_task_ended_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker died before the driver had it, and no worker is left to compute it again."""

    class Lost:
        status = "pending"

        def result(self, timeout: float) -> None:
            raise TimeoutError

    monkeypatch.setattr("wsipipe.pipeline.cluster.task_pool.WITHOUT_WORKERS_S", 0.0)
    monkeypatch.setattr("wsipipe.pipeline.cluster.task_pool._TICK_S", -1.0)
    monkeypatch.setattr("wsipipe.pipeline.cluster.task_pool.has_workers", lambda client: False)
    run = _TaskBatch(TaskPool(SimpleNamespace(status="running"), tmp_path), {})
    with pytest.raises(WorkerLostError, match="no worker has been connected"):
        run._result(Lost())


def test_a_cluster_without_workers_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsipipe.pipeline.cluster.task_pool.WITHOUT_WORKERS_S", 0.0)
    monkeypatch.setattr("wsipipe.pipeline.cluster.task_pool.has_workers", lambda client: False)
    run = _TaskBatch(TaskPool(SimpleNamespace(status="running"), tmp_path), {})
    with pytest.raises(WorkerLostError, match="no worker has been connected"):
        run._check_workers()
