"""A workflow and slides -> results: plan, run, and what became of each slide."""

import resource
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow.parquet as pq
from distributed import Client

from wsipipe.common.atomic_files import make_folders
from wsipipe.common.file_lock import hold
from wsipipe.common.script_guard import check_guard
from wsipipe.errors import (
    ConfigError,
    ExitCode,
    InternalError,
    LockedError,
    OutOfMemoryError,
    StorageError,
    StorageFullError,
    WsipipeError,
    place_of,
)
from wsipipe.pipeline.cluster.attempts import is_out_of_memory
from wsipipe.pipeline.cluster.client import (
    check_scheduler,
    connect,
    gpu_names,
    gpu_workers,
    processors,
    threads_each,
    worker_count,
)
from wsipipe.pipeline.cluster.task_pool import Pool
from wsipipe.pipeline.options import CAREFUL, DEFAULT_RESOURCES, Care
from wsipipe.pipeline.options import Resources as Resources
from wsipipe.pipeline.planning.checksums import Sums, check_slide, read_sums
from wsipipe.pipeline.planning.disk_space import bytes_under, check_space
from wsipipe.pipeline.planning.memory_budget import fit
from wsipipe.pipeline.planning.planner import Level0Region, Planner, make_planner
from wsipipe.pipeline.publishing import publish
from wsipipe.pipeline.publishing.checks import read_warnings
from wsipipe.pipeline.reporting.outcome import SlideOutcome, SlideWarning
from wsipipe.pipeline.reporting.progress import Silent, Teller
from wsipipe.pipeline.reporting.run_record import Asked, Record
from wsipipe.pipeline.reporting.slide_log import Diary, Told
from wsipipe.pipeline.slide_run import WORK, Device, run_slide, work_folder
from wsipipe.stages.workflow import Workflow
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.store.result import Result, open_result
from wsipipe.tiling.collect import SlideInput, collect


@dataclass(frozen=True)
class RunResult:
    """What became of a run.

    Attributes:
        out: Folder of the results.
        slides: One outcome a slide, in the order asked.
        exit_code: Of the command.
    """

    out: Path
    slides: tuple[SlideOutcome, ...]
    exit_code: ExitCode

    def results(self) -> list[Result]:
        """The finished slides, opened."""
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
    care: Care = CAREFUL,
    include_label_images: bool = False,
    dry_run: bool = False,
    teller: Teller | None = None,
) -> RunResult:
    """Runs a workflow on slides and leaves one folder a slide in ``out``.

    Args:
        workflow: Name, path of a YAML file, or a loaded workflow.
        slides: Files, folders, globs, or a manifest CSV.
        out: Folder of the results; finished slides of the same plan are kept.
        settings: ``stage.key=value`` over the workflow.
        mpp: Um per px of level 0, over what the slides say.
        region: (y, x, height, width) in level-0 px: the only part to compute.
        precision: Of every network, over the workflow: ``auto``, ``float32``, ``bfloat16`` or ``float64``.
        resources: Processes, threads, device, memory.
        care: What is checked before, and when to give up.
        include_label_images: Copy the photographs of label and glass, which may show a patient's name.
        dry_run: Opens the slides and plans, computes nothing, writes nothing.
        teller: Hears of progress.

    Returns:
        What became of each slide; a slide that fails does not raise.

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
    return run_inputs(planner, inputs, Path(out), resources, care, teller or Silent(), dry_run)


def run_inputs(
    planner: Planner,
    inputs: list[SlideInput],
    out: Path,
    resources: Resources,
    care: Care,
    tell: Teller,
    dry_run: bool = False,
) -> RunResult:
    """As :func:`run`, for what is collected and checked already."""
    check_guard()
    gpus = _gpus(resources)
    sums = read_sums(care.checksums) if care.checksums else None
    patience = _Patience(care.most_failures(len(inputs)))
    limit = None
    if resources.memory_budget is not None:
        share = fit(planner.workflow, resources.memory_budget, worker_count(resources.workers))
        limit = share.limit_bytes
        planner = replace(planner, workflow=share.workflow)
        resources = replace(resources, workers=share.workers)
        tell.note(share.in_words())
    for text in planner.notices():
        tell.note(text)
    tell.slides(len(inputs))
    if resources.scheduler is not None:
        check_scheduler(resources.scheduler)
    with (
        _folder(out, dry_run) as marks,
        connect(resources.scheduler, resources.workers, resources.threads, gpus, limit) as client,
    ):
        asked = Asked(planner.workflow, planner.region, care.checksums, care.shard_timeout_s, care.restart)
        # Only now: a cluster that does not start leaves no record of slides that wait.
        record = None if dry_run else Record(out, asked, inputs)
        if record:
            record.processors(processors(client))
        device = _device(client, resources)
        pool = Pool(client, marks, care.shard_timeout_s, tell.note)
        work = _Work(pool, out, planner, device, tell, record, care.restart, sums, patience)
        outcomes = _all_slides(work, inputs, max(2, worker_count(resources.workers)))
        if record:
            record.end(_peak_memory_mb(client))
    return RunResult(out, outcomes, _exit_code(outcomes))


@contextmanager
def _folder(out: Path, dry_run: bool) -> Iterator[Path]:
    """Holds OUT and gives the folder for marks of running tasks; a dry run leaves OUT alone."""
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="wsipipe-") as folder:
            yield Path(folder)
        return
    make_folders(out)
    with hold(out / WORK / "run.lock", str(out)):
        yield out / WORK / "started"
        with suppress(OSError):
            (out / WORK / "started").rmdir()


_RETRY_CODES = {LockedError.code, StorageError.code, StorageFullError.code}


def _gpus(resources: Resources) -> int:
    """GPU processes to start; checked before any work."""
    if resources.device not in {"auto", "cpu", "cuda"}:
        raise ConfigError(f"--device {resources.device!r}: choose cpu, cuda or auto.")
    if resources.device == "cpu" or resources.scheduler is not None:
        return 0
    found = len(gpu_names())
    if resources.device == "cuda" and not found:
        raise ConfigError("--device cuda: this machine shows no NVIDIA GPU; choose --device cpu or auto.")
    return found


def _device(client: Client, resources: Resources) -> Device:
    """Where networks run, by what the cluster's workers declare; never by this machine's own GPUs."""
    gpus = gpu_workers(client)
    on_gpu = resources.device == "cuda" or (resources.device == "auto" and gpus > 0)
    threads = threads_each(resources.workers, resources.threads)
    return Device("cuda", threads, max(1, gpus)) if on_gpu else Device("cpu", threads)


def _all_slides(work: "_Work", slides: Sequence[SlideInput], at_once: int) -> tuple[SlideOutcome, ...]:
    threads = ThreadPoolExecutor(min(len(slides), at_once), thread_name_prefix="slide")
    try:
        return tuple(threads.map(work.slide, slides))
    finally:
        # After an interrupt nobody waits for slides that have hours to go.
        threads.shutdown(wait=False, cancel_futures=True)


def _exit_code(outcomes: Sequence[SlideOutcome]) -> ExitCode:
    if any(outcome.status == "skipped" for outcome in outcomes):
        return ExitCode.FAILED
    codes = {outcome.code for outcome in outcomes if outcome.status == "failed"}
    if not codes:
        return ExitCode.OK
    return ExitCode.RETRY_LATER if codes <= _RETRY_CODES else ExitCode.SOME_SLIDES_FAILED


def _peak_memory_mb(client: Client) -> dict[str, float]:
    """Peak resident memory of each worker process, MB."""
    peaks = client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, on_error="ignore")
    return {f"worker {i}": round(peak) for i, peak in enumerate(peaks.values())}


class _Patience:
    """Counts failed slides; at an end after more than so many."""

    def __init__(self, most: int | None) -> None:
        self._most, self._failed, self._lock = most, 0, Lock()

    def failed(self) -> None:
        with self._lock:
            self._failed += 1

    @property
    def at_an_end(self) -> bool:
        return self._most is not None and self._failed > self._most


@dataclass(frozen=True)
class _Work:
    """One run's common tools; ``slide`` is called once a slide, in a thread of its own."""

    pool: Pool
    out: Path
    planner: Planner
    device: Device
    tell: Teller
    record: Record | None
    restart: bool
    sums: Sums | None
    patience: _Patience

    def slide(self, slide: SlideInput) -> SlideOutcome:
        if self.patience.at_an_end:
            outcome = SlideOutcome(slide.slide_id, slide.path, "skipped")
        else:
            self._note(SlideOutcome(slide.slide_id, slide.path, "running"))
            outcome = self._attempt(slide)
        if outcome.status == "failed":
            self.patience.failed()
        self._note(outcome)
        self.tell.slide(slide.slide_id, outcome.in_words())
        for warning in outcome.warnings:
            self.tell.note(f"{slide.slide_id}: WARNING {warning.code}: {warning.message}")
        return outcome

    def _note(self, outcome: SlideOutcome) -> None:
        if self.record:
            self.record.update(outcome)

    def _attempt(self, slide: SlideInput) -> SlideOutcome:
        diary, seen = Diary(slide.slide_id, self.tell), _Seen(slide)
        pool = Pool(self.pool.client, self.pool.marks, self.pool.patience_s, diary.say)
        try:
            return self._computed(pool, slide, diary, seen)
        except Exception as error:  # one slide's failure, whatever it is, must not lose the others
            if pool.client.status in {"closing", "closed"}:
                raise
            known = _known(error, slide)
            diary.failed(error)
            return seen.outcome(
                "failed", code=known.code, message=str(known), place=place_of(error), log=diary.last_lines()
            )

    def _computed(self, pool: Pool, slide: SlideInput, diary: Diary, seen: "_Seen") -> SlideOutcome:
        if self.sums is not None:
            pool.call(f"{slide.slide_id}.checksum", check_slide, slide.path, self.sums)
        plan, seen.warnings = self.planner.plan(pool, slide, self.device.name)
        seen.plan = plan.summary()
        if self.record is None:
            return seen.outcome("planned")
        self._note(seen.outcome("running"))
        if self.restart or not publish.is_published(self.out, plan):
            check_space(self.out, plan, bytes_under(work_folder(self.out, plan)))

        def network(stage: str, text: str) -> None:
            if seen.add_network(stage, text):
                self._note(seen.outcome("running"))

        told = Told(diary.step, diary.say, network)
        seconds = run_slide(pool, plan, self.out, self.device, told, self.restart)
        table = self.out / slide.slide_id / NUCLEI_TABLE
        nuclei = pq.read_metadata(table).num_rows if table.is_file() else None
        seen.warnings += read_warnings(self.out / slide.slide_id)
        return seen.outcome("done" if seconds else "kept", seconds=seconds, nuclei=nuclei)


@dataclass
class _Seen:
    """What is known of a slide while it is worked on."""

    slide: SlideInput
    plan: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[SlideWarning, ...] = ()
    networks: dict[str, list[str]] = field(default_factory=dict)

    def add_network(self, stage: str, text: str) -> bool:
        """Whether the stage's network had not run like this before."""
        texts = self.networks.setdefault(stage, [])
        if text in texts:
            return False
        texts.append(text)
        return True

    def outcome(self, status: str, **more: Any) -> SlideOutcome:
        """The outcome so far."""
        return SlideOutcome(
            self.slide.slide_id,
            self.slide.path,
            status,
            plan=self.plan,
            warnings=self.warnings,
            networks=self.networks,
            **more,
        )


def _known(error: Exception, slide: SlideInput) -> WsipipeError:
    if isinstance(error, WsipipeError):
        return error
    if is_out_of_memory(error):
        return OutOfMemoryError(f"{slide.path}: memory was short in the driver ({error}); free some.")
    return InternalError(
        f"{slide.path}: {type(error).__name__}: {error}. This is a defect of wsipipe; please report it."
    )
