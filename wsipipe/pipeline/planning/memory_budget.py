"""A memory budget -> workers, shard and patch sizes that keep it."""

import math
from dataclasses import dataclass

from wsipipe.errors import ConfigError
from wsipipe.stages.workflow import Workflow

DRIVER_BYTES = 280 << 20
WORKER_BYTES = 330 << 20
NETWORK_BYTES = 720 << 20
"""Of torch and the ring kernels (``benchmarks/soak.py memory``: 975 to 1,160 MB a worker with nuclei)."""
_CLASSIFY_BYTES = 250 << 20
_BYTES_PER_SHARD_PX = 60
_BYTES_PER_PATCH_PX = 600
_SHARDS = (8192, 4096, 2048, 1024, 512, 256)
_SMALLEST_PATCH_PX = 128


@dataclass(frozen=True)
class BudgetPlan:
    """What fits.

    Attributes:
        workers: Processes.
        workflow: With shards and patches that fit.
        worker_bytes: What a process needs at most.
        limit_bytes: What a process may take.
    """

    workers: int
    workflow: Workflow
    worker_bytes: int
    limit_bytes: int

    def in_words(self) -> str:
        """One line."""
        patch = f", patches of {self.workflow.segment.patch_px} px" if self.workflow.segment else ""
        return (
            f"memory budget: {self.workers} worker{'s' * (self.workers != 1)} of up to "
            f"{self.worker_bytes / 1e9:.2f} GB, shards of {self.workflow.tile.shard_px} px{patch}"
        )


def worker_bytes(workflow: Workflow) -> int:
    """Peak resident memory of a worker process, estimated from above."""
    network = NETWORK_BYTES if workflow.segment or workflow.classify else 0
    if workflow.segment:
        network += workflow.segment.patch_px**2 * _BYTES_PER_PATCH_PX
    if workflow.classify:
        network += _CLASSIFY_BYTES
    return WORKER_BYTES + workflow.tile.shard_px**2 * _BYTES_PER_SHARD_PX + network


def plan_for_budget(workflow: Workflow, budget: int, workers: int) -> BudgetPlan:
    """The workflow as it fits a budget: first with smaller patches, then smaller shards, then fewer workers.

    Args:
        workflow: As asked; its own sizes are upper bounds.
        budget: Bytes for driver and workers together.
        workers: At most so many.

    Raises:
        ConfigError: Not even one worker with the smallest shards fits; says what would.
    """
    for count in range(workers, 0, -1):
        for candidate in _sizes(workflow):
            need = worker_bytes(candidate)
            if DRIVER_BYTES + count * need <= budget:
                return BudgetPlan(count, candidate, need, (budget - DRIVER_BYTES) // count)
    least = DRIVER_BYTES + min(worker_bytes(candidate) for candidate in _sizes(workflow))
    raise ConfigError(
        f"--memory-budget {budget / 1e9:.3g} GB is too small: one worker with the smallest shards takes "
        f"{math.ceil(least / 1e7) / 100:.2f} GB with the driver. Give at least that."
    )


def _sizes(workflow: Workflow) -> list[Workflow]:
    """The workflow itself, then with patches of a quarter of a shard, then with ever smaller shards."""
    sides = [side for side in _SHARDS if side <= workflow.tile.shard_px]
    return [workflow, *(_with_shards(workflow, side) for side in [workflow.tile.shard_px, *sides])]


def _with_shards(workflow: Workflow, side_px: int) -> Workflow:
    tile = workflow.tile.model_copy(
        update={"shard_px": side_px, "chunk_px": min(workflow.tile.chunk_px, side_px)}
    )
    updates: dict[str, object] = {"tile": tile}
    if workflow.segment:
        patch = max(_SMALLEST_PATCH_PX, side_px // 4)
        smaller = min(workflow.segment.patch_px, patch)
        updates["segment"] = workflow.segment.model_copy(update={"patch_px": smaller})
    return workflow.model_copy(update=updates)
