"""Interrupted, harmed, resumed: the same bytes. One process at a time. Finished is finished."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from wsipipe.errors import LockedError
from wsipipe.pipeline import stage_run
from wsipipe.pipeline.cluster.task_pool import TaskPool
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing import publish
from wsipipe.pipeline.reporting.progress import ShardProgress
from wsipipe.pipeline.reporting.slide_log import RunCallbacks
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.pipeline.work_folders import slide_lock
from wsipipe.stages.workflow import Workflow
from wsipipe.store import manifest
from wsipipe.store.result import Result


@pytest.fixture(scope="module")
def client(scheduler: str) -> Any:
    with Client(scheduler, set_as_default=False) as client:
        yield client


@pytest.fixture(scope="module")
def plan(small_slide: Path, tiny_workflow: Workflow, plan_for: Any) -> Plan:
    return plan_for(small_slide, tiny_workflow)


@pytest.fixture(scope="module")
def interrupted(client: Client, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT of a run that ended just before its result was renamed."""
    out = tmp_path_factory.mktemp("interrupted")

    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "publish", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run_slide(TaskPool(client, out / "markers"), plan, out, Device())
    return out


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def hurt_files(work: Path) -> None:
    """Every kind of file in turn: lost, flipped, cut, half-written."""
    (work / "result/slide.zarr/0/c/0/1/0").unlink()
    flip(work / "result/slide.zarr/probabilities/nucleus/0/c/0/1")
    seeds = work / "parts/seeds/1-0.npz"
    seeds.write_bytes(seeds.read_bytes()[:40])
    (work / "parts/table/0-1.parquet").unlink()
    (work / "tables/grow.npz").unlink()
    (work / "result/slide.zarr/0/c/0/0.tmp").write_bytes(b"half")


def lose_ledger(work: Path) -> None:
    """Files without a row are not trusted."""
    (work / "ledger.sqlite").unlink()


def leave_alone(work: Path) -> None:
    """All shards were done."""


@pytest.mark.parametrize("harm", [leave_alone, hurt_files, lose_ledger])
def test_a_resumed_run_is_the_run(
    client: Client,
    plan: Plan,
    interrupted: Path,
    finished: Result,
    tmp_path: Path,
    harm: Callable[[Path], None],
) -> None:
    out = shutil.copytree(interrupted, tmp_path / "out")
    harm(out / ".work" / f"{plan.slide.slide_id}.{plan.id[:16]}")
    run_slide(TaskPool(client, out / "markers"), plan, out, Device())
    folder = out / plan.slide.slide_id
    assert manifest.read(folder) == finished.manifest
    assert manifest.damaged(folder) == []
    assert not list(folder.rglob("*.tmp"))


def test_only_what_is_missing_is_done_again(
    client: Client, plan: Plan, interrupted: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(interrupted, tmp_path / "out")
    (out / ".work" / f"{plan.slide.slide_id}.{plan.id[:16]}" / "result/slide.zarr/0/c/0/1/0").unlink()
    first: dict[str, ShardProgress] = {}
    run_slide(
        TaskPool(client, out / "markers"),
        plan,
        out,
        Device(),
        RunCallbacks(lambda progress: first.setdefault(progress.stage, progress)),
    )
    assert {stage: (step.done, step.total) for stage, step in first.items() if step.done < step.total} == {
        "tile": (3, 4)
    }


def test_a_finished_slide_is_kept(client: Client, plan: Plan, finished: Result) -> None:
    assert plan.id == finished.manifest["plan"]
    assert (
        run_slide(TaskPool(client, finished.folder.parent / ".work"), plan, finished.folder.parent, Device())
        == {}
    )


def test_another_process_holds_the_slide(tmp_path: Path) -> None:
    with slide_lock(tmp_path, "a"), pytest.raises(LockedError, match=rf"process {os.getpid()} on \S+ since"):
        slide_lock(tmp_path, "a").__enter__()
    code = (
        "import sys; from pathlib import Path; from wsipipe.pipeline.work_folders import slide_lock\n"
        "with slide_lock(Path(sys.argv[1]), 'a'): print(flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], **pipes) as holder:
        holder.stdout.readline()
        with pytest.raises(LockedError, match="is in use by"):
            slide_lock(tmp_path, "a").__enter__()
        with slide_lock(tmp_path, "b"):
            holder.kill()
    with slide_lock(tmp_path, "a"):
        pass


def test_a_failed_shard_keeps_the_others(
    client: Client, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, found = stage_run.run_shard, tmp_path / "tissue is found"

    def fails_late(task: Any, attempt: int) -> Any:
        if task.stage == "tile" and task.index == (1, 1):
            while not found.exists():
                time.sleep(0.02)
            raise ValueError("no")
        return real(task)

    def recorded(step: ShardProgress) -> None:
        if step.stage == "tissue" and step.done:
            found.touch()

    monkeypatch.setattr(stage_run, "run_shard", fails_late)
    with pytest.raises(ValueError, match="no"):
        run_slide(TaskPool(client, tmp_path / "markers"), plan, tmp_path, Device(), RunCallbacks(recorded))
    monkeypatch.undo()
    steps: list[ShardProgress] = []
    run_slide(TaskPool(client, tmp_path / "markers"), plan, tmp_path, Device(), RunCallbacks(steps.append))
    assert next(step.done for step in steps if step.stage == "tissue") == 1
