"""One slide through its stages: a task a shard, ledger after data, manifest after all, a rename publishes."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from distributed import Client, as_completed

from wsipipe import manifest, publish
from wsipipe.cluster import placement
from wsipipe.durable import storage_errors, sync_folder, write_durable
from wsipipe.errors import LockedError
from wsipipe.ledger import Ledger
from wsipipe.plan import Plan
from wsipipe.stages.stage import Stage
from wsipipe.store import RESULT, ShardFile, array_path, create_array
from wsipipe.worker import Done, Task, pack_table, read_table, run_shard


@dataclass(frozen=True)
class Step:
    """Told after every shard.

    Attributes:
        slide_id: Which slide.
        stage: Which stage.
        done: Shards done, those kept from an earlier run included.
        total: Shards of the stage.
        mpx_per_second: Canvas Mpx a second since the stage began; 0 before the first shard.
    """

    slide_id: str
    stage: str
    done: int
    total: int
    mpx_per_second: float


@dataclass(frozen=True)
class Device:
    """Where networks run: ``cpu`` or ``cuda``, with how many threads, and whether to read one shard ahead."""

    name: str = "cpu"
    threads: int = 1
    lookahead: int = 0


def run_slide(
    client: Client, plan: Plan, out: Path, device: Device, tell: Callable[[Step], None]
) -> dict[str, float]:
    """Computes and publishes one slide, keeping finished shards of an interrupted run of the same plan.

    Args:
        client: Workers that see ``out``.
        plan: What to compute.
        out: Folder of all results.
        device: Where networks run.
        tell: Called after every shard, in this thread.

    Returns:
        Seconds by stage; empty if the slide was published already.

    Raises:
        WsipipeError: With the code of what went wrong; finished shards are kept.
    """
    with slide_lock(out, plan.slide.slide_id):
        if publish.is_published(out, plan):
            return {}
        work = out / ".work" / f"{plan.slide.slide_id}.{plan.id[:16]}"
        _prepare(work)
        seconds = {}
        with Ledger(work) as ledger:
            for stage in plan.stages:
                began = time.monotonic()
                _run_stage(client, plan, stage, work, ledger, device, tell)
                seconds[stage.name] = time.monotonic() - began
            files = [
                file for stage in plan.stages for done in ledger.files(stage.name).values() for file in done
            ]
        began = time.monotonic()
        resources = placement(client, False)
        side_files = client.submit(publish.finish, plan, work, pure=False, resources=resources).result()
        shards = [file for file in files if file.path.startswith(f"{RESULT}/")]
        manifest.write(work, manifest.build(plan.id, shards + side_files))
        publish.publish(work, out, plan)
        seconds["finish"] = time.monotonic() - began
    return seconds


@contextmanager
def slide_lock(out: Path, slide_id: str) -> Iterator[None]:
    """Holds the slide in ``out`` for this process; the kernel lets go however the process ends.

    Raises:
        LockedError: Another process works on it; names it.
    """
    path = out / ".work" / f"{slide_id}.lock"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 200, 0).decode(errors="replace")
            raise LockedError(
                f"{slide_id} in {out} is being worked on by {holder or 'another process'}. Wait for it to "
                f"end, or choose another --out."
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}".encode(), 0)
        yield
    finally:
        os.close(handle)


def _prepare(work: Path) -> None:
    """Makes the work directory, or clears what a killed run left half-written in it."""
    with storage_errors(work):
        work.mkdir(parents=True, exist_ok=True)
        for pattern in ("*.partial", "*.tmp"):
            for leftover in work.rglob(pattern):
                leftover.unlink()
        sync_folder(work)


def _run_stage(
    client: Client,
    plan: Plan,
    stage: Stage,
    work: Path,
    ledger: Ledger,
    device: Device,
    tell: Callable[[Step], None],
) -> None:
    frame = plan.facts.frame
    for spec in plan.specs(stage):
        if not (work / array_path(spec.name) / "zarr.json").is_file():
            create_array(work, spec)
    rows, columns = stage.grid_shape(frame)
    everything = [(row, column) for row in range(rows) for column in range(columns)]
    kept = ledger.done(stage.name)
    count, area_px, began = len(kept), 0, time.monotonic()
    tell(Step(plan.slide.slide_id, stage.name, count, len(everything), 0.0))
    missing = [index for index in everything if index not in kept]
    for done in _computed(client, plan, stage, work, missing, device):
        ledger.record(stage.name, done.index, done.files)
        count += 1
        area_px += stage.core(frame, done.index).area_px * stage.downsample**2
        speed = area_px / 1e6 / (time.monotonic() - began)
        tell(Step(plan.slide.slide_id, stage.name, count, len(everything), speed))
    if stage.reduce:
        _reduce(stage, work, ledger.files(stage.name))


def _computed(
    client: Client, plan: Plan, stage: Stage, work: Path, indices: list[tuple[int, int]], device: Device
) -> Iterator[Done]:
    """The missing shards as they end; all tasks are handed over at once, so that no worker stands idle."""
    on_device = stage.weights is not None
    lookahead = device.lookahead if on_device else 0
    resources = placement(client, on_device)
    task = Task(plan, work, stage.name, (0, 0), device.name, device.threads)
    tasks = [
        replace(task, index=index, ahead=_ahead_of(indices, i, lookahead)) for i, index in enumerate(indices)
    ]
    futures = [
        client.submit(run_shard, task, pure=False, retries=0, resources=resources, priority=-i)
        for i, task in enumerate(tasks)
    ]
    try:
        for future in as_completed(futures, loop=client.loop):
            yield future.result()
            future.release()
    finally:
        for future in futures:
            future.cancel()


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
