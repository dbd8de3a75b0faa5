"""Processes that are killed before they are up are started again, as a run begins and in its midst."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest
from distributed import Nanny

from wsipipe.errors import WorkerLostError
from wsipipe.pipeline.cluster import client as cluster
from wsipipe.pipeline.cluster import nanny

Starting = Callable[[], list[psutil.Process]]


@pytest.fixture
def starting(workers: Starting) -> Starting:
    """Finds the workers of this test alone, not those of the cluster that all tests share."""
    others = {process.pid for process in workers()}
    return lambda: [process for process in workers() if process.pid not in others]


def test_sister_the_shared_cluster_is_let_alone(
    scheduler: str, starting: Starting, workers: Starting
) -> None:
    assert starting() == []
    assert workers()


@contextmanager
def killer(starting: Starting, most: int, after_s: float = 0) -> Iterator[list[int]]:
    """Kills the first ``most`` processes, each as it begins: before a worker is up."""
    killed: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while len(killed) < most and not done.wait(0.005):
            for process in starting():
                if process.pid not in killed and len(killed) < most:
                    time.sleep(after_s)
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                    killed.append(process.pid)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


def test_a_process_killed_while_the_cluster_starts_is_started_again(starting: Starting) -> None:
    with killer(starting, 2) as killed, cluster.connect(workers=1, threads=1) as client:
        assert len(killed) == 2
        assert client.submit(os.getpid).result(timeout=30) not in killed


def test_a_process_killed_while_it_is_started_again_is_started_once_more(starting: Starting) -> None:
    with cluster.connect(workers=1, threads=1) as client:
        first = client.submit(os.getpid).result(timeout=30)
        with killer(starting, 3) as killed:
            assert client.submit(_slow_pid, pure=False).result(timeout=60) not in killed
        assert killed[0] == first
        assert len(killed) == 3
        assert len(starting()) == 1


def _slow_pid() -> int:
    time.sleep(1)
    return os.getpid()


@pytest.mark.parametrize("given_up_after", ["365 days", "100 ms"])
def test_a_worker_long_away_comes_back_and_sister_with_a_short_timeout_it_does_not(
    monkeypatch: pytest.MonkeyPatch, starting: Starting, given_up_after: str
) -> None:
    timeout = "distributed.deploy.lost-worker-timeout"
    assert cluster._CONFIG[timeout] == "365 days"
    monkeypatch.setitem(cluster._CONFIG, timeout, given_up_after)
    with cluster.connect(workers=1, threads=1) as client:
        with killer(starting, 4, after_s=0.5) as killed:
            while len(killed) < 4 and client.cluster.workers:
                time.sleep(0.05)
        kept = bool(client.cluster.workers)
        assert kept == (given_up_after == "365 days")
        assert not kept or client.submit(os.getpid).result(timeout=60) not in killed


def test_processes_that_never_come_up_are_an_error(
    monkeypatch: pytest.MonkeyPatch, starting: Starting
) -> None:
    monkeypatch.setattr(nanny, "STARTS", 2)
    with (
        killer(starting, 2) as killed,
        pytest.raises(WorkerLostError, match="die during start-up"),
        cluster.connect(workers=1, threads=1),
    ):
        pass
    assert len(killed) == 2


def test_sister_with_a_nanny_of_dask_one_kill_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, starting: Starting
) -> None:
    monkeypatch.setattr(cluster, "RetryingNanny", Nanny)
    with killer(starting, 1), pytest.raises(WorkerLostError), cluster.connect(workers=1, threads=1):
        pass
