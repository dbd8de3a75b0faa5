"""Run or resume one slide, and publish it.

Each shard is one task. The ledger is written after the data of a shard, and the manifest after all shards;
one rename publishes the result.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import zarr

from wsipipe.common.atomic_files import make_folders, storage_errors, sync_file, sync_folder, write_durable
from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import SlideChangedError
from wsipipe.pipeline.cluster.task_pool import TaskCall, TaskPool
from wsipipe.pipeline.execution.shard import ShardResult, ShardTask
from wsipipe.pipeline.execution.shard_task import run_shard
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.slide_facts import check_unchanged
from wsipipe.pipeline.publishing import publish
from wsipipe.pipeline.publishing.published import is_finished
from wsipipe.pipeline.reporting.progress import ShardProgress
from wsipipe.pipeline.reporting.slide_log import RunCallbacks
from wsipipe.pipeline.work_folders import RESTARTED, slide_lock, work_folder
from wsipipe.stages.stage import Stage
from wsipipe.store import manifest
from wsipipe.store.arrays import RESULT, ArraySpec, ShardFile, array_path, create_array
from wsipipe.store.ledger import Key, Ledger
from wsipipe.store.tables import write_reduced

NO_CALLBACKS = RunCallbacks()


@dataclass(frozen=True)
class Device:
    """Device that networks run on.

    Attributes:
        name: ``cpu`` or ``cuda``.
        threads: Number of threads of a network on a CPU.
        lookahead: Distance in the order of tasks to the shard that is read ahead; 0 for none.
    """

    name: str = "cpu"
    threads: int = 1
    lookahead: int = 0


def run_slide(
    pool: TaskPool,
    plan: Plan,
    out: Path,
    device: Device,
    callbacks: RunCallbacks = NO_CALLBACKS,
    restart: bool = False,
) -> dict[str, float]:
    """Compute and publish one slide.

    Finished shards of an interrupted run of the same plan are kept.

    Args:
        pool: Pool of workers that can access ``out``.
        plan: Plan of the slide.
        out: Folder of all results.
        device: Device that networks run on.
        callbacks: Callbacks for progress and messages.
        restart: Whether to keep nothing: published and interrupted slides are computed from the start.

    Returns:
        Seconds by stage; empty if the slide was published already.

    Raises:
        WsipipeError: The slide failed; finished shards are kept.
    """
    work = work_folder(out, plan)
    with storage_errors(out), slide_lock(out, plan.slide.slide_id):
        if not restart and is_finished(out, plan):
            return {}
        if restart and work.exists():
            callbacks.message("starting over; files of an earlier run are deleted")
            shutil.rmtree(work)
        _prepare(work)
        if restart:
            write_durable(work / RESTARTED, b"")
        seconds = {}
        with Ledger(work) as ledger:
            for stage in plan.stages:
                began = time.monotonic()
                _run_stage(pool, plan, stage, work, ledger, device, callbacks)
                seconds[stage.name] = time.monotonic() - began
            files = [
                file for stage in plan.stages for done in ledger.files(stage.name).values() for file in done
            ]
        began = time.monotonic()
        _finish(pool, plan, work, out, files)
        seconds["finish"] = time.monotonic() - began
    return seconds


def _finish(pool: TaskPool, plan: Plan, work: Path, out: Path, files: list[ShardFile]) -> None:
    slide_id = plan.slide.slide_id
    try:
        pool.call(f"{slide_id}.check", check_unchanged, plan.slide.path, plan.facts.fingerprint)
    except SlideChangedError:
        # Some shards may contain pixels that are no longer, or never were, those of the slide.
        shutil.rmtree(work)
        raise
    side_files = pool.call(f"{slide_id}.finish", publish.write_results, plan, work)
    shards = [file for file in files if file.path.startswith(f"{RESULT}/")]
    manifest.write(work, manifest.build(plan.id, shards + side_files))
    fault_point("manifest.written")
    publish.publish(work, out, plan)


def _prepare(work: Path) -> None:
    """Make the work directory, without half-written files of a killed run."""
    with storage_errors(work):
        make_folders(work)
        for pattern in ("*.partial", "*.tmp"):
            for leftover in work.rglob(pattern):
                leftover.unlink()
        sync_folder(work)


def _make_array(work: Path, spec: ArraySpec) -> None:
    """Write an array's metadata if missing or damaged."""
    path = work / array_path(spec.name) / "zarr.json"
    if path.is_file():
        try:
            zarr.open_array(path.parent, mode="r")
        except Exception:  # damaged metadata, as after a power cut, may raise anything
            path.unlink()
    if not path.is_file():
        create_array(work, spec)
        sync_file(path)


def _run_stage(
    pool: TaskPool,
    plan: Plan,
    stage: Stage,
    work: Path,
    ledger: Ledger,
    device: Device,
    callbacks: RunCallbacks,
) -> None:
    grid = plan.facts.grid
    for spec in plan.specs(stage):
        _make_array(work, spec)
    rows, columns = stage.grid_shape(grid)
    everything = [(row, column) for row in range(rows) for column in range(columns)]
    kept, damaged = ledger.check(stage.name)
    count, area_px, began = len(kept), 0, time.monotonic()
    _report_kept_shards(stage, len(kept), len(everything), damaged, callbacks)
    callbacks.shard(ShardProgress(plan.slide.slide_id, stage.name, count, len(everything), 0.0))
    for done in _computed(pool, plan, stage, work, _missing(everything, kept), device):
        ledger.record(stage.name, done.index, done.files)
        fault_point("scheduler.death")
        if done.network:
            callbacks.network(stage.name, done.network)
        if done.attempt:
            callbacks.message(
                f"{stage.name} {done.index}: done in attempt {done.attempt + 1}, with smaller patches"
            )
        count += 1
        area_px += stage.core(grid, done.index).area_px * stage.downsample**2
        speed = area_px / 1e6 / (time.monotonic() - began)
        callbacks.shard(ShardProgress(plan.slide.slide_id, stage.name, count, len(everything), speed))
    if stage.reduce:
        _reduce(stage, work, ledger.files(stage.name))


def _missing(everything: list[Key], kept: set[Key]) -> list[Key]:
    return [index for index in everything if index not in kept]


def _report_kept_shards(
    stage: Stage, kept: int, total: int, damaged: list[str], callbacks: RunCallbacks
) -> None:
    """Report kept shards; a first run reports nothing."""
    if kept == total and not damaged:
        callbacks.message(f"{stage.name}: all {total} shards kept")
    elif kept or damaged:
        cause = (
            f"damaged or missing: {', '.join(damaged[:3])}" if damaged else "the earlier run was incomplete"
        )
        callbacks.message(f"{stage.name}: {kept} of {total} shards kept, {total - kept} to do ({cause})")


def _computed(
    pool: TaskPool, plan: Plan, stage: Stage, work: Path, indices: list[Key], device: Device
) -> Iterator[ShardResult]:
    """Yield the results of the missing shards as they finish."""
    on_device = stage.network is not None
    lookahead = device.lookahead if on_device else 0
    task = ShardTask(plan, work, stage.name, (0, 0), device.name, device.threads)
    tasks = [
        replace(task, index=index, ahead=_ahead_of(indices, i, lookahead)) for i, index in enumerate(indices)
    ]
    name = f"{plan.slide.slide_id}.{stage.name}".replace("/", "-")
    calls = [TaskCall(f"{name}.{task.index[0]}-{task.index[1]}", run_shard, (task,)) for task in tasks]
    return pool.each(calls, on_device)


def _ahead_of(indices: list[tuple[int, int]], i: int, lookahead: int) -> tuple[int, int] | None:
    return indices[i + lookahead] if lookahead and i + lookahead < len(indices) else None


def _reduce(stage: Stage, work: Path, files: dict[tuple[int, int], list[ShardFile]]) -> None:
    parts = {
        index: work / file.path
        for index, done in files.items()
        for file in done
        if file.path.startswith("parts/")
    }
    assert stage.reduce is not None  # noqa: S101
    write_reduced(work, stage.name, parts, stage.reduce)
