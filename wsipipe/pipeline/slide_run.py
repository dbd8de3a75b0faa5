"""One slide through its stages: a task a shard, ledger after data, manifest after all, a rename publishes."""

import glob
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import zarr

from wsipipe.common.atomic_files import make_folders, storage_errors, sync_file, sync_folder, write_durable
from wsipipe.common.fault_injection import fault_point
from wsipipe.common.file_lock import hold_lock
from wsipipe.errors import SlideChangedError
from wsipipe.pipeline.cluster.task_pool import TaskCall, TaskPool
from wsipipe.pipeline.execution.shard import ShardResult, ShardTask
from wsipipe.pipeline.execution.shard_task import run_shard
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.slide_facts import check_unchanged
from wsipipe.pipeline.publishing import publish
from wsipipe.pipeline.reporting.progress import ShardProgress
from wsipipe.pipeline.reporting.slide_log import RunCallbacks
from wsipipe.stages.stage import Stage
from wsipipe.store import manifest
from wsipipe.store.arrays import RESULT, ArraySpec, ShardFile, array_path, create_array
from wsipipe.store.ledger import Key, Ledger
from wsipipe.store.tables import pack_table, read_table

WORK = ".work"
NO_CALLBACKS = RunCallbacks()
RESTARTED = "restarted"
"""File in a work directory whose slide is computed again although a result of the same plan is published."""


@dataclass(frozen=True)
class Device:
    """Where networks run: ``cpu`` or ``cuda``, with how many threads, and whether to read one shard ahead."""

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
    """Computes and publishes one slide, keeping finished shards of an interrupted run of the same plan.

    Args:
        pool: Workers that see ``out``.
        plan: What to compute.
        out: Folder of all results.
        device: Where networks run.
        callbacks: Who hears of it.
        restart: Keep nothing: compute a published slide again, and an interrupted one from its start.

    Returns:
        Seconds by stage; empty if the slide was published already.

    Raises:
        WsipipeError: With the code of what went wrong; finished shards are kept.
    """
    work = work_folder(out, plan)
    with storage_errors(out), slide_lock(out, plan.slide.slide_id):
        if publish.is_published(out, plan) and not restart and not (work / RESTARTED).exists():
            # A run that was killed while it cleaned up.
            shutil.rmtree(work, ignore_errors=True)
            return {}
        if restart and work.exists():
            callbacks.message("starts over; what an earlier run left is deleted")
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


def work_folder(out: Path, plan: Plan) -> Path:
    """Where a plan is worked on; another plan has another folder."""
    return out / WORK / f"{plan.slide.slide_id}.{plan.id[:16]}"


def restart_began(out: Path, slide_id: str) -> bool:
    """Whether an interrupted restart of a slide has begun, so that its shards may be kept."""
    return any((out / WORK).glob(f"{glob.escape(slide_id)}.*/{RESTARTED}"))


def slide_lock(out: Path, slide_id: str) -> AbstractContextManager[None]:
    """Holds the slide in ``out`` for this process.

    Raises:
        LockedError: Another process works on it; names it.
    """
    return hold_lock(out / WORK / f"{slide_id}.lock", f"{slide_id} in {out}")


def _finish(pool: TaskPool, plan: Plan, work: Path, out: Path, files: list[ShardFile]) -> None:
    slide_id = plan.slide.slide_id
    try:
        pool.call(f"{slide_id}.check", check_unchanged, plan.slide.path, plan.facts.fingerprint)
    except SlideChangedError:
        # Some of the shards may show what is no longer, or never was, the slide.
        shutil.rmtree(work)
        raise
    side_files = pool.call(f"{slide_id}.finish", publish.write_results, plan, work)
    shards = [file for file in files if file.path.startswith(f"{RESULT}/")]
    manifest.write(work, manifest.build(plan.id, shards + side_files))
    fault_point("manifest.written")
    publish.publish(work, out, plan)


def _prepare(work: Path) -> None:
    """Makes the work directory, or clears what a killed run left half-written in it."""
    with storage_errors(work):
        make_folders(work)
        for pattern in ("*.partial", "*.tmp"):
            for leftover in work.rglob(pattern):
                leftover.unlink()
        sync_folder(work)


def _make_array(work: Path, spec: ArraySpec) -> None:
    """Makes the array's metadata where it is missing, or where a power cut left no JSON."""
    path = work / array_path(spec.name) / "zarr.json"
    if path.is_file():
        try:
            zarr.open_array(path.parent, mode="r")
        except Exception:  # damaged metadata raises anything
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
                f"{stage.name} {done.index}: done at attempt {done.attempt + 1}, with smaller patches"
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
    """Silent on a first run, which has nothing to keep."""
    if kept == total and not damaged:
        callbacks.message(f"{stage.name}: all {total} shards kept")
    elif kept or damaged:
        why = f"damaged or missing: {', '.join(damaged[:3])}" if damaged else "the earlier run ended before"
        callbacks.message(f"{stage.name}: {kept} of {total} shards kept, {total - kept} to do ({why})")


def _computed(
    pool: TaskPool, plan: Plan, stage: Stage, work: Path, indices: list[Key], device: Device
) -> Iterator[ShardResult]:
    """The missing shards as they end."""
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
    path = work / "tables" / f"{stage.name}.npz"
    parts = {
        index: work / file.path
        for index, done in files.items()
        for file in done
        if file.path.startswith("parts/")
    }
    partials = {index: read_table(part) for index, part in parts.items()}
    tables = {other.stem: read_table(other) for other in (work / "tables").glob("*.npz")}
    assert stage.reduce is not None  # noqa: S101
    write_durable(path, pack_table(stage.reduce(partials, tables)))
