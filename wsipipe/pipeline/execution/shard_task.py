"""Compute one shard in a worker process."""

import logging
import os
from concurrent.futures import Future
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from wsipipe.common.atomic_files import sync_file, write_durable
from wsipipe.common.fault_injection import fault_point
from wsipipe.common.thread_work import in_own_thread
from wsipipe.errors import InternalError, ModelError, add_place
from wsipipe.geometry import Region
from wsipipe.pipeline.execution.shard import ShardResult, ShardTask
from wsipipe.pipeline.execution.shard_inputs import inputs_for
from wsipipe.pipeline.execution.usage import Meter
from wsipipe.stages.stage import Patch, ShardInput, ShardOutput, Stage
from wsipipe.store import manifest
from wsipipe.store.arrays import ShardFile, write_shards
from wsipipe.store.tables import Table, load_table, pack_table, stored_tables

if TYPE_CHECKING:
    from wsipipe.models.predictor import AnyPredictor
    from wsipipe.stages.stage_params import NetworkParams


def run_shard(task: ShardTask, attempt: int = 0) -> ShardResult:
    """Read, compute and write one shard.

    The task can be repeated: it always writes the same bytes.

    Args:
        task: The task.
        attempt: Number of earlier attempts; each one halves the patches of the network.

    Returns:
        The durable files with their digests.
    """
    task = replace(task, plan=task.plan.with_smaller_patches(attempt))
    stage = task.plan.stage(task.stage)
    core = stage.core(task.plan.facts.grid, task.index)
    try:
        return replace(_run_shard(task, stage, core), attempt=attempt)
    except Exception as error:
        row, column = task.index
        add_place(error, {"stage": stage.name, "row": row, "column": column})
        raise


def _run_shard(task: ShardTask, stage: Stage, core: Region) -> ShardResult:
    fault_point("worker.segfault", task.plan.slide.slide_id)
    meter = Meter()
    reader = _reader(task, stage, core, meter)
    tables = _tables(task, stage)
    model = None
    if stage.network:
        with meter.part("loading"):
            model = _model(stage.network, task)
    output = stage.kernel(ShardInput(task.index, core, reader.read, tables, model))
    fault_point("shard.before_write")
    with meter.part("writing"):
        files = _write(task, stage, core, output)
    fault_point("shard.after_write")
    on_gpu = model is not None and task.device == "cuda"
    canvas_px = core.area_px * stage.downsample**2
    usage = meter.usage(sum(file.size_bytes for file in files), canvas_px, on_gpu)
    network = model.in_words() if model else ""
    return ShardResult(stage.name, task.index, files, reader.hit, network=network, usage=usage)


def _tables(task: ShardTask, stage: Stage) -> dict[str, Table]:
    """Return the tables of earlier stages; those of later ones may be there already."""
    stages = task.plan.stages
    earlier = {each.name for each in stages[: [each.name for each in stages].index(stage.name)]}
    return {name: load_table(path) for name, path in stored_tables(task.work).items() if name in earlier}


class _Reader:
    """Inputs of one shard, each read at most once.

    Those of the read-ahead come from memory.
    """

    def __init__(
        self, task: ShardTask, stage: Stage, core: Region, ready: dict[str, Patch] | None, meter: Meter
    ) -> None:
        self._inputs = inputs_for(task.plan, task.work)
        self._stage, self._core = stage, core
        self._declared = {read.name: read for read in stage.reads}
        self._patches = {(name, core): patch for name, patch in (ready or {}).items()}
        self._meter = meter
        self.hit = ready is not None

    def read(self, name: str, around: Region | None = None) -> Patch:
        core = around or self._core
        if core != self._core and not self._declared[name].anywhere:
            raise InternalError(
                f"The stage {self._stage.name} reads {name} around other regions than its shard, which may "
                f"not be computed yet. Declare the read with ``anywhere=True``."
            )
        if (name, core) not in self._patches:
            read = self._declared[name]
            with self._meter.part("reading"):
                self._patches[name, core] = self._inputs.read(read, self._stage.patch_region(read, core))
        return self._patches[name, core]


_ahead: dict[tuple[str, str, tuple[int, int]], Future[dict[str, Patch]]] = {}


def _reader(task: ShardTask, stage: Stage, core: Region, meter: Meter) -> _Reader:
    """Take what was read ahead, and start the next read-ahead."""
    waiting = _ahead.pop((task.plan.id, stage.name, task.index), None)
    with meter.part("reading"):
        # A failed read-ahead is repeated here, where its error belongs to this shard.
        ready = waiting.result() if waiting and not waiting.exception() else None
    reader = _Reader(task, stage, core, ready, meter)
    if task.ahead is not None:
        _ahead.clear()
        next_core = stage.core(task.plan.facts.grid, task.ahead)
        _ahead[task.plan.id, stage.name, task.ahead] = in_own_thread(_read_all, task, stage, next_core)
    return reader


def _read_all(task: ShardTask, stage: Stage, core: Region) -> dict[str, Patch]:
    inputs = inputs_for(task.plan, task.work)
    return {read.name: inputs.read(read, stage.patch_region(read, core)) for read in stage.reads}


def _model(params: "NetworkParams", task: ShardTask) -> "AnyPredictor":
    planned = task.plan.cards[task.stage]
    key = (params.weights, planned.sha256, task.device, params.precision, task.threads, params.finds_unknown)
    model = _load_model(*key, os.getpid())
    if model.card != planned:
        raise ModelError(
            f"The card of {task.stage}.weights {params.weights} on this worker differs from the card that "
            f"the run was planned with. Copy the same weights and card to both, and restart the cluster."
        )
    return model


@lru_cache(maxsize=2)
def _load_model(
    weights: str, sha256: str, device: Any, precision: Any, threads: int, unknown: bool, pid: int
) -> "AnyPredictor":
    # Importing torch takes seconds and hundreds of MB; only workers that run a network do it.
    from wsipipe.models.predictor import load_predictor

    # The driver has shown the terms of use of the weights; do not repeat them in every process.
    logging.getLogger("wsipipe.notice").setLevel(logging.ERROR)
    return load_predictor(weights, device, precision, threads, unknown)


def _write(task: ShardTask, stage: Stage, core: Region, output: ShardOutput) -> list[ShardFile]:
    files = []
    for name, pixels in sorted(output.arrays.items()):
        files += write_shards(task.work, name, core, pixels)
    part = task.work / "parts" / stage.name / f"{task.index[0]}-{task.index[1]}"
    if output.partial:
        path = part.with_suffix(".npz")
        write_durable(path, pack_table(output.partial))
        files.append(manifest.describe(task.work, path))
    if output.rows is not None:
        # Only shards of nuclei have rows; pyarrow is not loaded for any other.
        from wsipipe.pipeline.execution.nuclei_part import write_nuclei_part

        for path in write_nuclei_part(task.plan, part, output.rows):
            sync_file(path)
            files.append(manifest.describe(task.work, path))
    return files
