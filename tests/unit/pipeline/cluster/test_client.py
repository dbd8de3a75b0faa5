"""Nothing listens off loopback; networks run on GPU workers, the rest beside them, with the same result."""

import math
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client, get_worker

from wsipipe.errors import ConfigError
from wsipipe.pipeline import stage_run
from wsipipe.pipeline.cluster import client as cluster
from wsipipe.pipeline.cluster import machine, workers
from wsipipe.pipeline.cluster.task_pool import TaskPool
from wsipipe.pipeline.cluster.workers import Lane
from wsipipe.pipeline.execution.shard import ShardResult, ShardTask
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.stages.workflow import Workflow
from wsipipe.store import manifest
from wsipipe.store.result import Result


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One CPU worker and one of a pretended GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "7")
        with cluster.connect(workers=1, threads=1, gpus=1) as client:
            yield client


def listeners(pids: set[int]) -> set[str]:
    found = (psutil.Process(pid).net_connections("tcp") for pid in pids)
    return {each.laddr.ip for all_of_one in found for each in all_of_one if each.status == psutil.CONN_LISTEN}


def test_all_listeners_are_on_loopback(client: Client) -> None:
    pids = {os.getpid(), *client.run(os.getpid).values(), *client.run(os.getpid, nanny=True).values()}
    assert len(pids) == 3
    assert listeners(pids) == {"127.0.0.1"}


def test_sister_the_check_sees_other_listeners() -> None:
    with socket.create_server(("0.0.0.0", 0)):
        assert "0.0.0.0" in listeners({os.getpid()})


def test_each_worker_sees_its_own_gpu_or_none(client: Client) -> None:
    seen = client.run(lambda dask_worker: (dask_worker.name, os.environ["CUDA_VISIBLE_DEVICES"]))
    assert sorted(seen.values()) == [("cpu-0", ""), ("gpu-0", "7")]
    assert workers.gpu_workers(client) == 1


def test_placement_follows_what_workers_declare(client: Client, scheduler: str) -> None:
    assert workers.lanes(client) == [Lane((True,), {"GPU": 1}, 1), Lane((False,), {"CPU": 1}, 1)]
    with Client(scheduler, set_as_default=False) as without:
        assert [(lane.networks, lane.resources) for lane in workers.lanes(without)] == [
            ((True, False), {"CPU": 1})
        ]
        assert workers.gpu_workers(without) == 0


def store_the_image(client: Client, plan: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a slide until all shards of its image are in the ledger, and log who ran them.

    Then the networks fail.
    """
    left = {
        stage.name: math.prod(stage.grid_shape(plan.facts.grid))
        for stage in plan.stages
        if any(write.kind == "image" for write in stage.writes)
    }
    stored, run_shard, report = folder / "stored", stage_run.run_shard, stage_run._StageCount.report

    def without_networks(task: ShardTask, attempt: int = 0) -> ShardResult:
        if not task.plan.stage(task.stage).network:
            with (folder / "log").open("a") as file:
                file.write(f"{task.stage}:{get_worker().name}\n")
            return run_shard(task)
        while not stored.exists():
            time.sleep(0.02)
        raise ValueError("no networks")

    def counted(count: Any, slide_id: str, done: ShardResult, callbacks: Any) -> None:
        report(count, slide_id, done, callbacks)
        if done.stage in left:
            left[done.stage] -= 1
        if not any(left.values()):
            stored.touch()

    pool = TaskPool(client, folder / "markers")
    with monkeypatch.context() as patch:
        patch.setattr(stage_run, "run_shard", without_networks)
        patch.setattr(stage_run._StageCount, "report", counted)
        with pytest.raises(ValueError, match="no networks"):
            run_slide(pool, plan, folder / "out", Device())


def test_networks_run_on_the_gpu_worker_and_read_ahead(
    client: Client,
    small_slide: Path,
    tiny_workflow: Workflow,
    plan_for: Any,
    finished: Result,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, hits = tmp_path / "log", []
    report, run_shard = stage_run._StageCount.report, stage_run.run_shard

    def logged(task: ShardTask, attempt: int = 0) -> ShardResult:
        with log.open("a") as file:
            file.write(f"{task.stage}:{get_worker().name}\n")
        return run_shard(task)

    def counted(count: Any, slide_id: str, done: ShardResult, callbacks: Any) -> None:
        hits.append(done.read_ahead_hit)
        report(count, slide_id, done, callbacks)

    plan = plan_for(small_slide, tiny_workflow)
    # A shard is read ahead only if it is ready; with the whole image stored, all of both networks are.
    store_the_image(client, plan, tmp_path, monkeypatch)
    monkeypatch.setattr(stage_run, "run_shard", logged)
    monkeypatch.setattr(stage_run._StageCount, "report", counted)
    run_slide(TaskPool(client, tmp_path / "markers"), plan, tmp_path / "out", Device("cpu", 1, lookahead=1))
    where = {tuple(line.split(":")) for line in log.read_text().splitlines()}
    assert {stage for stage, worker in where if worker == "gpu-0"} == {"segment", "classify"}
    assert {stage for stage, worker in where if worker == "cpu-0"} >= {"tissue", "tile", "grow", "table"}
    assert sum(hits) == 6
    assert manifest.read(tmp_path / "out" / plan.slide.slide_id) == finished.manifest


def test_no_scheduler_at_the_address() -> None:
    with pytest.raises(ConfigError, match="--scheduler nonsense"), cluster.connect("nonsense"):
        pass


@pytest.mark.parametrize(("visible", "names"), [("", []), ("0,3", ["0", "3"]), ("GPU-1f , ", ["GPU-1f"])])
def test_gpus_are_those_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cluster.gpu_names() == names


def test_threads_divide_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    assert [cluster.threads_each(workers, None) for workers in (None, 1, 3, 20)] == [1, 8, 2, 1]
    assert cluster.threads_each(1, 5) == 5


def test_processes_that_are_slow_to_leave_do_not_fail_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def close(self, timeout: float) -> None:
            assert 0 < timeout < 60
            raise TimeoutError

    monkeypatch.setattr(cluster, "SpecCluster", lambda *_, **__: Slow())
    with cluster._local({}) as slow:
        assert isinstance(slow, Slow)
    with pytest.raises(ValueError, match="of the work"), cluster._local({}):
        raise ValueError("of the work")
