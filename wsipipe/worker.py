"""What runs in a worker process: one shard of one stage, from coordinates to durable files and a digest."""

import io
import logging
import os
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from wsipipe import faults, manifest
from wsipipe.durable import sync_file, write_durable
from wsipipe.errors import ModelError, MppError, SlideChangedError, add_place
from wsipipe.geometry import Region
from wsipipe.models.precision import best_precision
from wsipipe.plan import Plan, SlideFacts
from wsipipe.sources import sources_of
from wsipipe.stages.parquet import write_parquet
from wsipipe.stages.stage import Frame, Patch, ShardInput, ShardOutput, Stage, Table
from wsipipe.store import ShardFile, write_shards
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.collect import SlideInput
from wsipipe.tiling.readers.files import fingerprint
from wsipipe.tiling.slide import open_slide

MAX_UPSAMPLING = 1.5
"""A slide may be this much coarser than the workflow's mpp."""


@dataclass(frozen=True)
class Task:
    """Coordinates of one shard; never pixels.

    Attributes:
        plan: What is computed.
        work: The slide's work directory, on a file system that every worker sees.
        stage: Name of the stage.
        index: (row, column) of the shard.
        device: ``cpu`` or ``cuda`` for networks.
        threads: Threads of a network on a CPU.
        ahead: Shard that this worker will most likely get next; its pixels are read while the device works.
    """

    plan: Plan
    work: Path
    stage: str
    index: tuple[int, int]
    device: str = "cpu"
    threads: int = 1
    ahead: tuple[int, int] | None = None


@dataclass(frozen=True)
class Done:
    """Result of a task.

    Attributes:
        index: (row, column) of the shard.
        files: Durable files.
        read_ahead_hit: Whether its pixels had been read ahead.
        attempt: How often it had been tried before.
        network: Precision, implementation and processor of its network; empty without one.
    """

    index: tuple[int, int]
    files: list[ShardFile] = field(default_factory=list)
    read_ahead_hit: bool = False
    attempt: int = 0
    network: str = ""


@dataclass(frozen=True)
class Inspected:
    """Result of opening a slide.

    Attributes:
        facts: What is in it.
        precision: Best precision of networks where they run.
        warnings: Texts of the warnings that opening it raised, each once.
    """

    facts: SlideFacts
    precision: str
    warnings: tuple[str, ...] = ()


def inspect(
    slide: SlideInput,
    mpp: float,
    lattice: int,
    device: str,
    coarsest_mpp: float | None = None,
    attempt: int = 0,
) -> Inspected:
    """Open a slide and collect what planning needs.

    Args:
        slide: Which one.
        mpp: The workflow's um per px.
        lattice: Canvas sides are multiples of this, px.
        device: ``cpu`` or ``cuda`` for networks.
        coarsest_mpp: Largest um per px at which the workflow's networks work; None without networks.
        attempt: How often it was tried before.

    Raises:
        SlideError: It does not open.
        MppError: Its um per px is missing or absurd.
    """
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", UserWarning)
        facts = _facts(slide, mpp, lattice, coarsest_mpp)
    texts = [str(each.message) for each in raised if issubclass(each.category, UserWarning)]
    return Inspected(facts, best_precision(device), tuple(dict.fromkeys(texts)))


def _facts(slide: SlideInput, mpp: float, lattice: int, coarsest_mpp: float | None) -> SlideFacts:
    with open_slide(slide.path, slide.mpp) as opened:
        if opened.mpp > MAX_UPSAMPLING * mpp:
            raise MppError(
                f"{slide.path}: the workflow works at {mpp:g} um/px, but the slide's finest level has "
                f"{opened.mpp:.4g} um/px (from: {opened.mpp_source}), more than {MAX_UPSAMPLING:g} times as "
                f"coarse, and its pixels cannot be made finer. {_coarse_remedy(opened.mpp, coarsest_mpp)}"
            )
        canvas = Canvas(opened, mpp, lattice)
        return SlideFacts(
            fingerprint=opened.fingerprint(),
            vendor=opened.vendor,
            mpp=opened.mpp,
            mpp_source=opened.mpp_source,
            levels=tuple(level.shape for level in opened.levels),
            frame=Frame(canvas.shape, canvas.mpp, canvas.offset_px, canvas.step),
        )


def _coarse_remedy(slide_mpp: float, coarsest_mpp: float | None) -> str:
    """What helps for a slide that is too coarse for the workflow."""
    correct = "If that value is wrong, give the right one with --mpp"
    if coarsest_mpp is None:
        return f"{correct}; else choose a coarser canvas: --set tile.mpp={slide_mpp:.4g}."
    if slide_mpp <= MAX_UPSAMPLING * coarsest_mpp:
        return f"{correct}; else choose a coarser canvas: --set tile.mpp={coarsest_mpp:g}."
    return (
        f"{correct}. If it is right, the slide is too coarse for these weights, which need at most "
        f"{MAX_UPSAMPLING * coarsest_mpp:g} um/px: scan it finer or take other weights (wsipipe models lists "
        f"them). Tissue mask and tiles alone: wsipipe run tiling_only ... --set tile.mpp={slide_mpp:.4g}."
    )


def check_unchanged(plan: Plan, attempt: int = 0) -> None:
    """Whether the slide's files are still those of the plan.

    Raises:
        SlideChangedError: They are not.
    """
    found = fingerprint(plan.slide.path)
    if found != plan.facts.fingerprint:
        raise SlideChangedError(
            f"{plan.slide.path} changed while it was worked on: its fingerprint was "
            f"{plan.facts.fingerprint[:12]}... and is {found[:12]}... now. Nothing was published; let nobody "
            f"write to the slide, and run the same command again."
        )


def run_shard(task: Task, attempt: int = 0) -> Done:
    """Reads, computes, writes, seals one shard. Safe to repeat: the same task leaves the same bytes.

    Args:
        task: Which shard.
        attempt: How often it was tried before; each time the network's patches are halved.
    """
    task = replace(task, plan=task.plan.with_smaller_patches(attempt))
    stage = next(stage for stage in task.plan.stages if stage.name == task.stage)
    core = stage.core(task.plan.facts.frame, task.index)
    try:
        return replace(_run_shard(task, stage, core), attempt=attempt)
    except Exception as error:
        row, column = task.index
        add_place(error, {"stage": stage.name, "row": row, "column": column})
        raise


def _run_shard(task: Task, stage: Stage, core: Region) -> Done:
    faults.reach("worker.segfault", task.plan.slide.slide_id)
    reader = _reader(task, stage, core)
    tables = {name: load_table(path) for name, path in _tables(task.work).items()}
    model = _model(stage.weights, task, stage) if stage.weights else None
    output = stage.kernel(ShardInput(task.index, core, reader.read, tables, model))
    faults.reach("shard.before_write")
    files = _write(task, stage, core, output)
    faults.reach("shard.after_write")
    return Done(task.index, files, reader.hit, network=model.in_words() if model else "")


class _Reader:
    """Reads of one shard, each made at most once, from memory where they were read ahead."""

    def __init__(self, task: Task, stage: Stage, core: Region, ready: dict[str, Patch] | None) -> None:
        self._sources = sources_of(task.plan, task.work)
        self._stage, self._core = stage, core
        self._declared = {read.name: read for read in stage.reads}
        self._patches = {(name, core): patch for name, patch in (ready or {}).items()}
        self.hit = ready is not None

    def read(self, name: str, around: Region | None = None) -> Patch:
        core = around or self._core
        if (name, core) not in self._patches:
            read = self._declared[name]
            self._patches[name, core] = self._sources.read(read, self._stage.patch_region(read, core))
        return self._patches[name, core]


_ahead_thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
_ahead: dict[tuple[str, str, tuple[int, int]], Future[dict[str, Patch]]] = {}


def _reader(task: Task, stage: Stage, core: Region) -> _Reader:
    """Takes what was read ahead for this shard, and starts reading the next one."""
    waiting = _ahead.pop((task.plan.id, stage.name, task.index), None)
    # A read that failed ahead is made again here, where its error belongs to this shard.
    ready = waiting.result() if waiting and not waiting.exception() else None
    reader = _Reader(task, stage, core, ready)
    if task.ahead is not None:
        _ahead.clear()
        next_core = stage.core(task.plan.facts.frame, task.ahead)
        _ahead[task.plan.id, stage.name, task.ahead] = _ahead_thread.submit(_read_all, task, stage, next_core)
    return reader


def _read_all(task: Task, stage: Stage, core: Region) -> dict[str, Patch]:
    reader = _Reader(task, stage, core, None)
    return {read.name: reader.read(read.name) for read in stage.reads}


def _model(weights: str, task: Task, stage: Stage) -> Any:
    section, planned = getattr(task.plan.workflow, stage.name), task.plan.cards[stage.name]
    unknown = getattr(section, "unknown", False)
    key = (weights, planned.sha256, task.device, section.precision, task.threads, unknown)
    model = _load_model(*key, os.getpid())
    if model.card != planned:
        raise ModelError(
            f"The card of {stage.name}.weights {weights} is another one on this worker than where the run "
            f"was planned; put the same weights and card on both, and restart the cluster."
        )
    return model


@lru_cache(maxsize=2)
def _load_model(
    weights: str, sha256: str, device: Any, precision: Any, threads: int, unknown: bool, pid: int
) -> Any:
    # torch takes seconds and hundreds of MB; only workers that run a network load it.
    from wsipipe.models.predictor import load_predictor

    # The driver has told the user what the weights may be used for; not once more from every process.
    logging.getLogger("wsipipe.notice").setLevel(logging.ERROR)
    return load_predictor(weights, device, precision, threads, unknown)


def _write(task: Task, stage: Stage, core: Region, output: ShardOutput) -> list[ShardFile]:
    files = []
    for name, pixels in sorted(output.arrays.items()):
        files += write_shards(task.work, name, core, pixels, output.effort)
    part = task.work / "parts" / stage.name / f"{task.index[0]}-{task.index[1]}"
    if output.partial:
        path = part.with_suffix(".npz")
        write_durable(path, pack_table(output.partial))
        files.append(manifest.describe(task.work, path))
    if output.rows is not None:
        path = part.with_suffix(".parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(path, [output.rows])
        sync_file(path)
        files.append(manifest.describe(task.work, path))
    return files


def pack_table(table: Table) -> bytes:
    """Arrays by name -> bytes of an ``.npz`` file; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: table[name] for name in sorted(table)})
    return buffer.getvalue()


def load_table(path: Path) -> Table:
    """As :func:`read_table`, kept in memory until the file changes."""
    found = path.stat()
    return _load_table(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _load_table(path: Path, mtime_ns: int, size_bytes: int) -> Table:
    return read_table(path)


def read_table(path: Path) -> Table:
    """Arrays by name, from an ``.npz`` file."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _tables(work: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted((work / "tables").glob("*.npz"))}
