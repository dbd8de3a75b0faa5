"""Compute the slides of a run on a cluster."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wsipipe.pipeline.cluster import workers
from wsipipe.pipeline.cluster.machine import threads_each, worker_count
from wsipipe.pipeline.cluster.task_pool import TaskPool
from wsipipe.pipeline.options import Resources, RunPolicy
from wsipipe.pipeline.planning.checksums import Sums
from wsipipe.pipeline.planning.planner import RunPlanner
from wsipipe.pipeline.reporting.outcome import SlideOutcome
from wsipipe.pipeline.reporting.progress import ProgressReporter
from wsipipe.pipeline.reporting.run_record import RunRecord
from wsipipe.pipeline.run_slides import FailureLimit, SlideRunner
from wsipipe.pipeline.slide_run import Device
from wsipipe.tiling.collect import SlideInput

if TYPE_CHECKING:
    from distributed import Client

    from wsipipe.pipeline.planning.plan import Plan

_JOB_TICK_S = 1.0


@dataclass(frozen=True)
class ClusterRun:
    """A run on a cluster.

    Attributes:
        client: Client of the cluster.
        markers: Folder for marker files of running tasks.
        out: Folder of the results.
        resources: Processes, threads, device.
        policy: Restart, failure limit, timeout.
        reporter: Receiver of progress and messages.
        plans: Plans of the slides of a dry run, by id; filled while it runs.
    """

    client: "Client"
    markers: Path
    out: Path
    resources: Resources
    policy: RunPolicy
    reporter: ProgressReporter
    plans: "dict[str, Plan]"

    def compute(
        self,
        planner: RunPlanner,
        slides: Sequence[SlideInput],
        record: RunRecord | None,
        sums: Sums | None,
        most_failures: int | None,
    ) -> tuple[SlideOutcome, ...]:
        """Run slides.

        Args:
            planner: Planner of the run.
            slides: The slides, at least one.
            record: ``run.json`` of the run; None for a dry run, which only plans.
            sums: Checksums that the slides must match; None to check none.
            most_failures: Number of slides that may fail; None for no limit.

        Returns:
            One outcome per slide, in the order given.
        """
        if self.resources.slurm:
            self._wait_for_job()
        if record:
            record.processors(workers.processors(self.client))
        pool = TaskPool(self.client, self.markers, self.policy.shard_timeout_s, self.reporter.message)
        runner = SlideRunner(
            pool,
            self.out,
            planner,
            self._device(),
            self.reporter,
            record,
            self.policy.restart,
            sums,
            FailureLimit(most_failures),
            with_receipts=not self.resources.elsewhere,
            plans=self.plans,
        )
        return runner.run_all(slides, max(2, worker_count(self.resources.workers)))

    def peak_memory_mb(self) -> dict[str, float]:
        """Return the peak resident memory of each worker process, MB."""
        return workers.peak_memory_mb(self.client)

    def _wait_for_job(self) -> None:
        """Wait until SLURM has started a job.

        This may take hours. It is the main thread that waits, so Ctrl-C ends it.
        """
        if not workers.has_workers(self.client):
            self.reporter.message(f"waiting for SLURM to start one of {self.resources.workers} jobs")
        while not workers.has_workers(self.client):
            time.sleep(_JOB_TICK_S)

    def _device(self) -> Device:
        """Choose the device by what the workers declare, never by the GPUs of this machine."""
        gpus = workers.gpu_workers(self.client)
        on_gpu = self.resources.device == "cuda" or (self.resources.device == "auto" and gpus > 0)
        threads = threads_each(self.resources.workers, self.resources.threads)
        return Device("cuda", threads, max(1, gpus)) if on_gpu else Device("cpu", threads)
