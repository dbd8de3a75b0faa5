"""A run of slides that are collected and checked already.

Slides that are finished need no worker. The cluster starts in the background as soon as one slide is not.
"""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wsipipe.common.atomic_files import make_folders
from wsipipe.models.precision import best_precision, processor_name
from wsipipe.pipeline.checked_resources import check_scheduler, check_slurm_run, gpu_processes
from wsipipe.pipeline.cluster.machine import threads_each, worker_count
from wsipipe.pipeline.cluster.script_guard import check_guard
from wsipipe.pipeline.cluster.start import ClusterStart
from wsipipe.pipeline.execution.warm_up import shard_modules
from wsipipe.pipeline.finished import FinishedSlides
from wsipipe.pipeline.options import Resources, RunPolicy
from wsipipe.pipeline.parts import BatchEntry, Part
from wsipipe.pipeline.planning.checksums import Sums, read_sums
from wsipipe.pipeline.planning.memory_budget import plan_for_budget
from wsipipe.pipeline.planning.planner import RunPlanner
from wsipipe.pipeline.reporting.outcome import SlideOutcome
from wsipipe.pipeline.reporting.progress import ProgressReporter, announce
from wsipipe.pipeline.reporting.run_log import SUFFIX, LoggedReporter
from wsipipe.pipeline.reporting.run_record import RunRecord, RunRequest
from wsipipe.pipeline.run_lock import lock_run
from wsipipe.pipeline.run_result import RunResult, exit_code
from wsipipe.pipeline.work_folders import slurm_folder
from wsipipe.tiling.collect import SlideInput

if TYPE_CHECKING:
    from distributed import Client

    from wsipipe.pipeline.planning.plan import Plan


@dataclass(frozen=True)
class _Run:
    """What a run consists of, once it is checked.

    Attributes:
        planner: Planner of the run.
        inputs: Slides of the run.
        out: Folder of the results.
        resources: Processes, threads, device.
        policy: Restart, failure limit, checksums, timeout.
        reporter: Receiver of progress and messages.
        sums: Checksums that the slides must match; None to check none.
        most_failures: Number of slides that may fail; None for no limit.
        gpus: Number of GPU processes to start.
        memory_bytes: Memory limit per worker; None for no limit.
        dry_run: Whether slides are only planned.
        batch: Batch of which the run is a part; None for a whole run.
        plans: Plans of the slides of a dry run, by id; filled while it runs.
    """

    planner: RunPlanner
    inputs: list[SlideInput]
    out: Path
    resources: Resources
    policy: RunPolicy
    reporter: ProgressReporter
    sums: Sums | None
    most_failures: int | None
    gpus: int
    memory_bytes: int | None
    dry_run: bool
    batch: BatchEntry | None
    plans: "dict[str, Plan]" = field(default_factory=dict)

    def connect(self) -> "AbstractContextManager[Client]":
        """Start or reach the cluster; the import alone takes a second."""
        from wsipipe.pipeline.cluster.client import connect

        resources = self.resources
        if resources.slurm is not None:
            from wsipipe.pipeline.cluster.slurm import connect_slurm

            threads = threads_each(resources.workers, resources.threads)
            return connect_slurm(
                resources.slurm, worker_count(resources.workers), threads, slurm_folder(self.out)
            )
        imports = shard_modules(bool(self.planner.workflow.networks()))
        return connect(
            resources.scheduler, resources.workers, resources.threads, self.gpus, self.memory_bytes, imports
        )

    def finder(self) -> FinishedSlides | None:
        """Return the search for finished slides; None where every slide has to be opened.

        Workers of other machines may open a slide by other means than this one.
        """
        if self.dry_run or self.policy.restart or self.resources.elsewhere:
            return None
        on_gpu = self.resources.device == "cuda" or (self.resources.device == "auto" and self.gpus > 0)
        precision = best_precision("cuda" if on_gpu else "cpu")
        return FinishedSlides(self.out, self.planner, precision, self.sums)

    def record(self) -> RunRecord:
        """Start ``run.json``, or the record of the part."""
        request = RunRequest(
            self.planner.workflow,
            self.planner.region,
            self.policy.checksums,
            self.policy.shard_timeout_s,
            self.policy.restart,
        )
        return RunRecord(self.out, request, self.inputs, self.batch)


def run_inputs(
    planner: RunPlanner,
    inputs: list[SlideInput],
    out: Path,
    resources: Resources,
    policy: RunPolicy,
    reporter: ProgressReporter,
    dry_run: bool = False,
    part: Part | None = None,
) -> RunResult:
    """Run slides that are collected and checked already.

    ``inputs`` are all slides of the batch, also for a part. Arguments, result and errors are those of
    :func:`wsipipe.pipeline.run.run`.
    """
    check_guard()
    reporter = LoggedReporter(reporter)
    resources = check_slurm_run(resources, out, dry_run)
    gpus = gpu_processes(resources)
    batch = part.batch(inputs) if part else None
    # Workers may have another working directory.
    inputs = [slide.absolute() for slide in (part.share(inputs) if part else inputs)]
    sums = read_sums(policy.checksums) if policy.checksums else None
    most_failures = policy.most_failures(len(inputs))
    memory_bytes = None
    if resources.memory_budget is not None:
        fitted = plan_for_budget(planner.workflow, resources.memory_budget, worker_count(resources.workers))
        memory_bytes = fitted.limit_bytes
        planner = replace(planner, workflow=fitted.workflow)
        resources = replace(resources, workers=fitted.workers)
        reporter.message(fitted.in_words())
    for text in planner.notices():
        reporter.message(text)
    if batch:
        reporter.message(f"part {batch['part']}: {len(inputs)} of {batch['slides']} slides")
    reporter.slides(len(inputs))
    facts = (sums, most_failures, gpus, memory_bytes, dry_run, batch)
    request = _Run(planner, inputs, out.absolute(), resources, policy, reporter, *facts)
    check_scheduler(resources)
    log = None if dry_run else out / f"{part.stem if part else 'run'}{SUFFIX}"
    # The log is opened once OUT is locked, so no other process writes to it.
    with (
        _out_folder(request.out, dry_run, part) as markers,
        reporter.log_to(log),
        ClusterStart(request.connect) as cluster,
    ):
        outcomes = _outcomes(request, markers, cluster)
    plans = [request.plans[each.slide_id] for each in outcomes if each.slide_id in request.plans]
    return RunResult(out, outcomes, exit_code(outcomes), tuple(plans))


def _outcomes(request: _Run, markers: Path, cluster: "ClusterStart[Client]") -> tuple[SlideOutcome, ...]:
    """Keep finished slides, and compute all others."""
    kept = _kept(request, cluster)
    rest = [slide for slide in request.inputs if slide.slide_id not in kept]
    if rest:
        outcomes = _computed(request, rest, list(kept.values()), markers, cluster)
        by_id = kept | {outcome.slide_id: outcome for outcome in outcomes}
        return tuple(by_id[slide.slide_id] for slide in request.inputs)
    record = request.record()
    _report(request, record, list(kept.values()))
    record.processors([processor_name()])
    record.end({})
    return tuple(kept[slide.slide_id] for slide in request.inputs)


def _computed(
    request: _Run,
    slides: list[SlideInput],
    kept: list[SlideOutcome],
    markers: Path,
    cluster: "ClusterStart[Client]",
) -> tuple[SlideOutcome, ...]:
    """Compute slides on the cluster, which may still be starting."""
    cluster.begin()
    # This imports zarr and the stages, while the processes of the cluster start.
    from wsipipe.pipeline.run_cluster import ClusterRun

    client = cluster.client()
    # Only now: a cluster that does not start must not leave a record of waiting slides.
    record = None if request.dry_run else request.record()
    _report(request, record, kept)
    facts = (request.resources, request.policy, request.reporter, request.plans)
    run = ClusterRun(client, markers, request.out, *facts)
    try:
        outcomes = run.compute(request.planner, slides, record, request.sums, request.most_failures)
    finally:
        # Also after an interrupt: nothing is written once OUT is no longer locked.
        if record:
            record.close()
    if record:
        record.end(run.peak_memory_mb())
    return outcomes


def _report(request: _Run, record: RunRecord | None, kept: list[SlideOutcome]) -> None:
    """Record and announce the slides that are kept."""
    if record and kept:
        record.update(*kept)
    for outcome in kept:
        announce(request.reporter, outcome)


def _kept(request: _Run, cluster: "ClusterStart[Client]") -> dict[str, SlideOutcome]:
    """Return the outcomes of finished slides, by id.

    The cluster is started as soon as a slide is not finished.
    """
    finder = request.finder()
    candidates = [slide for slide in request.inputs if finder and finder.may_be_finished(slide)]
    if len(candidates) < len(request.inputs):
        cluster.begin()
    if finder is None or not candidates:
        return {}
    found: dict[str, SlideOutcome] = {}
    with ThreadPoolExecutor(max(2, worker_count(request.resources.workers))) as threads:
        for future in as_completed([threads.submit(finder.outcome, slide) for slide in candidates]):
            outcome = future.result()
            if outcome is None:
                cluster.begin()
            else:
                found[outcome.slide_id] = outcome
    return {slide.slide_id: found[slide.slide_id] for slide in candidates if slide.slide_id in found}


@contextmanager
def _out_folder(out: Path, dry_run: bool, part: Part | None) -> Iterator[Path]:
    """Lock OUT and yield the folder for marker files; a dry run leaves OUT alone."""
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="wsipipe-") as folder:
            yield Path(folder)
        return
    make_folders(out)
    with lock_run(out, part) as markers:
        yield markers
