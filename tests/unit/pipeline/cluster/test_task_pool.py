"""Tasks are rerun when their worker dies, and few are at the workers at a time."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wsipipe.errors import WorkerLostError
from wsipipe.pipeline.cluster.client import connect
from wsipipe.pipeline.cluster.task_batch import TASKS_PER_SLOT, TaskBatch, TaskCall
from wsipipe.pipeline.cluster.task_pool import TaskPool
from wsipipe.pipeline.cluster.workers import Lane


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

    monkeypatch.setattr("wsipipe.pipeline.cluster.task_batch.WITHOUT_WORKERS_S", 0.0)
    monkeypatch.setattr("wsipipe.pipeline.cluster.task_batch.TICK_S", -1.0)
    monkeypatch.setattr("wsipipe.pipeline.cluster.task_batch.has_workers", lambda client: False)
    run = TaskBatch(SimpleNamespace(status="running"), tmp_path, {}, print)
    with pytest.raises(WorkerLostError, match="no worker has been connected"):
        run._result(Lost())


def test_a_cluster_without_workers_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsipipe.pipeline.cluster.task_batch.WITHOUT_WORKERS_S", 0.0)
    monkeypatch.setattr("wsipipe.pipeline.cluster.task_batch.has_workers", lambda client: False)
    run = TaskBatch(SimpleNamespace(status="running"), tmp_path, {}, print)
    with pytest.raises(WorkerLostError, match="no worker has been connected"):
        run._check_workers()


class FakeFuture:
    """A task that never ends."""

    def add_done_callback(self, _: object) -> None:
        pass


class FakeClient:
    """A client that only notes what it is given."""

    status = "running"

    def __init__(self) -> None:
        self.submitted: list[tuple[str, dict[str, float], int]] = []

    def submit(self, _: object, marker: Path, *__: object, **more: Any) -> Any:
        self.submitted.append((marker.name, more["resources"], more["priority"]))
        return FakeFuture()


def test_few_tasks_are_at_the_workers_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So memory does not grow with the slide, and a shard that becomes ready is not behind all others."""
    both = [Lane((True,), {"GPU": 1}, 1), Lane((False,), {"CPU": 1}, 2)]
    monkeypatch.setattr("wsipipe.pipeline.cluster.task_batch.lanes", lambda client: both)
    waiting = {True: [f"network {i}" for i in range(9)], False: [f"other {i}" for i in range(9)]}

    def source(networks: tuple[bool, ...]) -> TaskCall[object] | None:
        (network,) = networks
        return TaskCall(waiting[network].pop(0), print, (), -3) if waiting[network] else None

    client = FakeClient()
    batch = TaskBatch[object](client, tmp_path, {}, print)
    batch.fill(source)
    assert client.submitted == [
        *((f"network {i}", {"GPU": 1}, -3) for i in range(TASKS_PER_SLOT)),
        *((f"other {i}", {"CPU": 1}, -3) for i in range(2 * TASKS_PER_SLOT)),
    ]
    batch.fill(source)
    assert len(client.submitted) == 3 * TASKS_PER_SLOT
    ended = next(future for future, submitted in batch.pending.items() if submitted.lane == 1)
    del batch.pending[ended]
    batch.fill(source)
    assert client.submitted[3 * TASKS_PER_SLOT :] == [(f"other {2 * TASKS_PER_SLOT}", {"CPU": 1}, -3)]


def test_lanes_of_workers_that_restart_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With none connected, nothing is known of what they declare; likewise if the scheduler is away."""
    found: list[Any] = [[Lane((True, False), {"CPU": 1}, 2)], [Lane((True, False), {}, 0)], OSError("away")]

    def next_found(client: object) -> list[Lane]:
        answer = found.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr("wsipipe.pipeline.cluster.task_batch.lanes", next_found)
    monkeypatch.setattr("wsipipe.pipeline.cluster.task_batch.LANES_S", -1.0)
    client = FakeClient()
    batch = TaskBatch[object](client, tmp_path, {}, print)
    calls = [TaskCall("b", print, ()), TaskCall("a", print, ())]
    batch.fill(lambda networks: None)
    for submitted in (1, 2):
        given = iter([calls.pop()])
        batch.fill(lambda networks, given=given: next(given, None))
        assert len(client.submitted) == submitted
    assert client.submitted == [("a", {"CPU": 1}, 0), ("b", {"CPU": 1}, 0)]
    found.append(OSError("never there"))
    with pytest.raises(OSError, match="never there"):
        TaskBatch[object](client, tmp_path, {}, print).fill(lambda networks: None)
