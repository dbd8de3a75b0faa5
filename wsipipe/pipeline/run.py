"""A whole run: check the request, start workers, run the slides.

``run_slides`` is the level of the slides of a run, ``slide_run`` that of the stages and shards of one slide.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from wsipipe.common.atomic_files import make_folders
from wsipipe.common.file_lock import hold_lock
from wsipipe.errors import ConfigError, ExitCode, LockedError, StorageError, StorageFullError
from wsipipe.pipeline.cluster.client import check_scheduler, connect, gpu_names, threads_each, worker_count
from wsipipe.pipeline.cluster.script_guard import check_guard
from wsipipe.pipeline.cluster.task_pool import TaskPool
from wsipipe.pipeline.cluster.workers import gpu_workers, peak_memory_mb, processors
from wsipipe.pipeline.options import DEFAULT_POLICY, DEFAULT_RESOURCES, RunPolicy
from wsipipe.pipeline.options import Resources as Resources
from wsipipe.pipeline.planning.checksums import read_sums
from wsipipe.pipeline.planning.memory_budget import plan_for_budget
from wsipipe.pipeline.planning.planner import Level0Region, RunPlanner, make_planner
from wsipipe.pipeline.reporting.outcome import SlideOutcome
from wsipipe.pipeline.reporting.progress import NullReporter, ProgressReporter
from wsipipe.pipeline.reporting.run_record import RunRecord, RunRequest
from wsipipe.pipeline.run_slides import FailureLimit, SlideRunner
from wsipipe.pipeline.slide_run import WORK, Device
from wsipipe.stages.workflow import Workflow
from wsipipe.store.result import Result, open_result
from wsipipe.tiling.collect import SlideInput, collect

_RETRY_CODES = {LockedError.code, StorageError.code, StorageFullError.code}


@dataclass(frozen=True)
class RunResult:
    """Outcome of a run.

    Attributes:
        out: Folder of the results.
        slides: One outcome per slide, in the order given.
        exit_code: Exit code of the command.
    """

    out: Path
    slides: tuple[SlideOutcome, ...]
    exit_code: ExitCode

    def results(self) -> list[Result]:
        """Open the finished slides."""
        return [
            open_result(self.out / slide.slide_id)
            for slide in self.slides
            if slide.status in {"done", "kept"}
        ]


def run(
    workflow: str | Path | Workflow,
    slides: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    settings: Iterable[str] = (),
    mpp: float | None = None,
    region: Level0Region | None = None,
    precision: str | None = None,
    resources: Resources = DEFAULT_RESOURCES,
    policy: RunPolicy = DEFAULT_POLICY,
    include_label_images: bool = False,
    dry_run: bool = False,
    reporter: ProgressReporter | None = None,
) -> RunResult:
    """Run a workflow on slides; write one folder per slide.

    Args:
        workflow: Name, path of a YAML file, or a loaded workflow.
        slides: Files, folders, globs, or a manifest CSV.
        out: Folder of the results; finished slides of the same plan are kept.
        settings: ``stage.key=value`` pairs that override the workflow.
        mpp: µm/px of level 0; overrides the value in the slides.
        region: Part to compute, (y, x, height, width) in level-0 px; None for everything.
        precision: Precision of every network: ``auto``, ``float32``, ``bfloat16`` or ``float64``; overrides
            the workflow.
        resources: Processes, threads, device, memory.
        policy: Restart, failure limit, checksums, timeout.
        include_label_images: Copy the label and macro images, which may show a patient's name.
        dry_run: Open and plan the slides; compute and write nothing.
        reporter: Receiver of progress and messages.

    Returns:
        The outcome of each slide; a slide that fails does not raise.

    Raises:
        ConfigError: Workflow, settings, weights or slides are wrong; nothing was started.
        LockedError: Another run works on ``out``; names its process and start.
        StorageError: ``out`` cannot be written.
    """
    planner = make_planner(workflow, list(settings), region)
    if precision is not None:
        planner = replace(planner, workflow=planner.workflow.in_precision(precision))
    if include_label_images:
        planner = replace(planner, workflow=planner.workflow.model_copy(update={"label_images": True}))
    inputs = collect([slides] if isinstance(slides, str | Path) else slides, mpp)
    planner.check_region(inputs)
    return run_inputs(planner, inputs, Path(out), resources, policy, reporter or NullReporter(), dry_run)


def run_inputs(
    planner: RunPlanner,
    inputs: list[SlideInput],
    out: Path,
    resources: Resources,
    policy: RunPolicy,
    reporter: ProgressReporter,
    dry_run: bool = False,
) -> RunResult:
    """Run slides that are collected and checked already, as :func:`run` does."""
    check_guard()
    gpus = _gpus(resources)
    sums = read_sums(policy.checksums) if policy.checksums else None
    failures = FailureLimit(policy.most_failures(len(inputs)))
    memory_bytes = None
    if resources.memory_budget is not None:
        fitted = plan_for_budget(planner.workflow, resources.memory_budget, worker_count(resources.workers))
        memory_bytes = fitted.limit_bytes
        planner = replace(planner, workflow=fitted.workflow)
        resources = replace(resources, workers=fitted.workers)
        reporter.message(fitted.in_words())
    for text in planner.notices():
        reporter.message(text)
    reporter.slides(len(inputs))
    if resources.scheduler is not None:
        check_scheduler(resources.scheduler)
    with (
        _out_folder(out, dry_run) as markers,
        connect(resources.scheduler, resources.workers, resources.threads, gpus, memory_bytes) as client,
    ):
        # Only now: a cluster that does not start must not leave a record of waiting slides.
        record = None if dry_run else RunRecord(out, _request(planner, policy), inputs)
        if record:
            record.processors(processors(client))
        device = _device(gpu_workers(client), resources)
        pool = TaskPool(client, markers, policy.shard_timeout_s, reporter.message)
        runner = SlideRunner(pool, out, planner, device, reporter, record, policy.restart, sums, failures)
        outcomes = runner.run_all(inputs, max(2, worker_count(resources.workers)))
        if record:
            record.end(peak_memory_mb(client))
    return RunResult(out, outcomes, _exit_code(outcomes))


@contextmanager
def _out_folder(out: Path, dry_run: bool) -> Iterator[Path]:
    """Lock OUT and yield the folder for marker files; a dry run leaves OUT alone."""
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="wsipipe-") as folder:
            yield Path(folder)
        return
    make_folders(out)
    with hold_lock(out / WORK / "run.lock", str(out)):
        yield out / WORK / "started"
        with suppress(OSError):
            (out / WORK / "started").rmdir()


def _request(planner: RunPlanner, policy: RunPolicy) -> RunRequest:
    return RunRequest(
        planner.workflow, planner.region, policy.checksums, policy.shard_timeout_s, policy.restart
    )


def _gpus(resources: Resources) -> int:
    """Return the number of GPU processes to start; checked before any work."""
    if resources.device not in {"auto", "cpu", "cuda"}:
        raise ConfigError(f"--device {resources.device!r}: choose cpu, cuda or auto.")
    if resources.device == "cpu" or resources.scheduler is not None:
        return 0
    found = len(gpu_names())
    if resources.device == "cuda" and not found:
        raise ConfigError("--device cuda: this machine shows no NVIDIA GPU; choose --device cpu or auto.")
    return found


def _device(gpus: int, resources: Resources) -> Device:
    """Choose the device by what the workers declare, never by the GPUs of this machine."""
    on_gpu = resources.device == "cuda" or (resources.device == "auto" and gpus > 0)
    threads = threads_each(resources.workers, resources.threads)
    return Device("cuda", threads, max(1, gpus)) if on_gpu else Device("cpu", threads)


def _exit_code(outcomes: Sequence[SlideOutcome]) -> ExitCode:
    if any(outcome.status == "skipped" for outcome in outcomes):
        return ExitCode.FAILED
    codes = {outcome.code for outcome in outcomes if outcome.status == "failed"}
    if not codes:
        return ExitCode.OK
    return ExitCode.RETRY_LATER if codes <= _RETRY_CODES else ExitCode.SOME_SLIDES_FAILED
