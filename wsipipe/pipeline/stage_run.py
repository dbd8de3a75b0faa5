"""Run the shards of all stages of one slide.

Each shard is one task, given to the workers when the shards that it reads are finished. The ledger is written
after the data of a shard.
"""

import itertools
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import zarr

from wsipipe.common.atomic_files import sync_file
from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import InternalError
from wsipipe.pipeline.cluster.task_batch import TaskCall
from wsipipe.pipeline.cluster.task_pool import TaskPool
from wsipipe.pipeline.execution.shard import ShardResult, ShardTask
from wsipipe.pipeline.execution.shard_task import run_shard
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.shard_graph import ShardGraph
from wsipipe.pipeline.reporting.progress import ShardProgress
from wsipipe.pipeline.reporting.slide_log import RunCallbacks
from wsipipe.pipeline.reporting.usage import Usage
from wsipipe.stages.stage import Stage
from wsipipe.store.arrays import ArraySpec, array_path, create_array
from wsipipe.store.ledger import Key, Ledger
from wsipipe.store.tables import write_reduced

_slides = itertools.count()
_MOST_RANKS = 1000


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


def run_stages(
    pool: TaskPool, plan: Plan, work: Path, ledger: Ledger, device: Device, callbacks: RunCallbacks
) -> dict[str, Usage]:
    """Compute all shards of a slide that the ledger does not have.

    Args:
        pool: Pool of workers.
        plan: Plan of the slide.
        work: The slide's work directory.
        ledger: Finished shards of the slide.
        device: Device that networks run on.
        callbacks: Callbacks for progress and messages.

    Returns:
        What the shards computed now took in the workers, by stage.

    Raises:
        WsipipeError: A shard failed; finished ones are in the ledger.
    """
    counts = {stage.name: _prepare(plan, stage, work, ledger, callbacks) for stage in plan.stages}
    graph = ShardGraph(plan.stages, plan.facts.grid, {name: count.kept for name, count in counts.items()})
    tasks = _Tasks(plan, work, device, graph, counts)
    _join(graph, work, ledger)
    with closing(pool.each(tasks.next_call)) as results:
        for done in results:
            ledger.record(done.stage, done.index, done.files)
            fault_point("scheduler.death")
            counts[done.stage].report(plan.slide.slide_id, done, callbacks)
            graph.finish(done.stage, done.index)
            _join(graph, work, ledger)
    if missing := graph.unfinished():
        raise InternalError(
            f"Shards of {', '.join(missing)} wait for shards that no stage before them makes. Correct the "
            f"reads of these stages, or their order in the workflow."
        )
    return {name: count.usage for name, count in counts.items()}


@dataclass
class _StageCount:
    """Progress of one stage."""

    kept: set[Key]
    total: int
    began: float | None = None
    done: int = field(init=False)
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        self.done = len(self.kept)

    def progress(self, slide_id: str, stage: str) -> ShardProgress:
        seconds = time.monotonic() - self.began if self.began is not None else 0.0
        speed = self.usage.canvas_mpx / seconds if seconds else 0.0
        return ShardProgress(slide_id, stage, self.done, self.total, speed)

    def report(self, slide_id: str, done: ShardResult, callbacks: RunCallbacks) -> None:
        """Count a finished shard and report it."""
        self.done += 1
        self.usage += done.usage
        if done.network:
            callbacks.network(done.stage, done.network)
        if done.attempt:
            callbacks.message(
                f"{done.stage} {done.index}: done in attempt {done.attempt + 1}, with smaller patches"
            )
        callbacks.shard(self.progress(slide_id, done.stage))


@dataclass
class _Tasks:
    """The tasks of a slide, in the order of its graph."""

    plan: Plan
    work: Path
    device: Device
    graph: ShardGraph
    counts: dict[str, _StageCount]
    place: int = field(default_factory=_slides.__next__)

    def next_call(self, networks: tuple[bool, ...]) -> TaskCall[ShardResult] | None:
        """Return the task of the next ready shard."""
        found = self.graph.take(networks)
        if found is None:
            return None
        stage, index = found
        count = self.counts[stage.name]
        count.began = count.began or time.monotonic()
        # Only a shard that is ready may be read ahead.
        reads_ahead = stage.network is not None and self.device.lookahead
        ahead = self.graph.next_of(stage, self.device.lookahead) if reads_ahead else None
        task = ShardTask(
            self.plan, self.work, stage.name, index, self.device.name, self.device.threads, ahead
        )
        name = f"{self.plan.slide.slide_id}.{stage.name}".replace("/", "-")
        # Tasks of other kinds, as the end of a slide, come first; then slides in the order of their start.
        priority = -1 - self.graph.rank(stage.name) - _MOST_RANKS * self.place
        return TaskCall(f"{name}.{index[0]}-{index[1]}", run_shard, (task,), priority)


def _prepare(plan: Plan, stage: Stage, work: Path, ledger: Ledger, callbacks: RunCallbacks) -> _StageCount:
    """Make the arrays of a stage, and report the shards that an earlier run has left."""
    for spec in plan.specs(stage):
        _make_array(work, spec)
    rows, columns = stage.grid_shape(plan.facts.grid)
    kept, damaged = ledger.check(stage.name)
    count = _StageCount(kept, rows * columns)
    _report_kept_shards(stage, count, damaged, callbacks)
    callbacks.shard(count.progress(plan.slide.slide_id, stage.name))
    return count


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


def _report_kept_shards(
    stage: Stage, count: _StageCount, damaged: list[str], callbacks: RunCallbacks
) -> None:
    """Report kept shards; a first run reports nothing."""
    kept, total = count.done, count.total
    if kept == total and not damaged:
        callbacks.message(f"{stage.name}: all {total} shards kept")
    elif kept or damaged:
        cause = (
            f"damaged or missing: {', '.join(damaged[:3])}" if damaged else "the earlier run was incomplete"
        )
        callbacks.message(f"{stage.name}: {kept} of {total} shards kept, {total - kept} to do ({cause})")


def _join(graph: ShardGraph, work: Path, ledger: Ledger) -> None:
    """Join the tables of all stages whose shards are finished."""
    while (stage := graph.to_join()) is not None:
        parts = {
            index: work / file.path
            for index, done in ledger.files(stage.name).items()
            for file in done
            if file.path.startswith("parts/")
        }
        assert stage.reduce is not None  # noqa: S101
        write_reduced(work, stage.name, parts, stage.reduce)
        graph.joined(stage.name)
