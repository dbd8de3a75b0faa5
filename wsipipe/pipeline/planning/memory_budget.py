"""Fit workers, shards and patches to a memory budget."""

import math
from dataclasses import dataclass

from wsipipe.errors import ConfigError
from wsipipe.stages.workflow import Workflow

DRIVER_BYTES = 280 << 20
WORKER_BYTES = 330 << 20
NETWORK_BYTES = 720 << 20
"""Memory of torch and the kernels (``benchmarks/soak.py memory``: 975 to 1,160 MB per worker with nuclei)."""
_BYTES_PER_SHARD_PX = 60
_SHARDS = (8192, 4096, 2048, 1024, 512, 256)


@dataclass(frozen=True)
class BudgetPlan:
    """Workers and a workflow that fit a memory budget.

    Attributes:
        workers: Number of processes.
        workflow: Workflow with shards and patches that fit.
        worker_bytes: Peak memory of a process, estimated from above.
        limit_bytes: Memory limit per process.
    """

    workers: int
    workflow: Workflow
    worker_bytes: int
    limit_bytes: int

    def in_words(self) -> str:
        """Return the plan as one line."""
        sections = self.workflow.networks().items()
        patches = [f", {name}.{each.patch_key} {getattr(each, each.patch_key)}" for name, each in sections]
        return (
            f"memory budget: {self.workers} worker{'s' * (self.workers != 1)} of up to "
            f"{self.worker_bytes / 1e9:.2f} GB, shards of {self.workflow.tile.shard_px} px{''.join(patches)}"
        )


def worker_bytes(workflow: Workflow) -> int:
    """Return the peak memory of a worker process, estimated from above."""
    networks = workflow.networks().values()
    network = NETWORK_BYTES + sum(params.pass_bytes for params in networks) if networks else 0
    return WORKER_BYTES + workflow.tile.shard_px**2 * _BYTES_PER_SHARD_PX + network


def plan_for_budget(workflow: Workflow, budget: int, workers: int) -> BudgetPlan:
    """Fit a workflow to a memory budget.

    Patches are made smaller first, then shards, and at last the number of workers.

    Args:
        workflow: Requested workflow; its own sizes are upper bounds.
        budget: Bytes for driver and workers together.
        workers: Largest number of workers.

    Raises:
        ConfigError: Not even one worker with the smallest shards fits; names the least budget.
    """
    for count in range(workers, 0, -1):
        for candidate in _sizes(workflow):
            needed = worker_bytes(candidate)
            if DRIVER_BYTES + count * needed <= budget:
                return BudgetPlan(count, candidate, needed, (budget - DRIVER_BYTES) // count)
    least = DRIVER_BYTES + min(worker_bytes(candidate) for candidate in _sizes(workflow))
    raise ConfigError(
        f"--memory-budget {budget / 1e9:.3g} GB is too small: one worker with the smallest shards and the "
        f"driver need {math.ceil(least / 1e7) / 100:.2f} GB. Give at least that."
    )


def _sizes(workflow: Workflow) -> list[Workflow]:
    """Return the workflow, then with patches of a quarter of a shard, then with smaller shards."""
    sides = [side for side in _SHARDS if side <= workflow.tile.shard_px]
    return [workflow, *(workflow.with_shards(side) for side in [workflow.tile.shard_px, *sides])]
