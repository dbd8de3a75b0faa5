"""A workflow and slides -> results: plan, run, and what became of each slide."""

import resource
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
from distributed import Client
from distributed.scheduler import KilledWorker

from wsipipe.cluster import connect, gpu_names, gpu_workers, threads_each, worker_count
from wsipipe.config import Workflow
from wsipipe.errors import (
    ConfigError,
    ExitCode,
    InternalError,
    LockedError,
    SlideError,
    StorageError,
    StorageFullError,
    WsipipeError,
)
from wsipipe.export import NUCLEI_TABLE
from wsipipe.outcome import SlideOutcome
from wsipipe.planner import Planner, make_planner
from wsipipe.progress import Silent, Teller
from wsipipe.report import write_report
from wsipipe.results import Result, open_result
from wsipipe.runner import Device, run_slide
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


@dataclass(frozen=True)
class Resources:
    """Where and with how much a run computes; none of it changes the result of a float32 run.

    Attributes:
        workers: CPU processes; None for one a core.
        threads: Threads of a network in each; None divides the cores.
        scheduler: Address of an existing Dask cluster.
        device: ``cpu``, ``cuda`` or ``auto``.
    """

    workers: int | None = None
    threads: int | None = None
    scheduler: str | None = None
    device: str = "auto"


def run(
    workflow: str | Path | Workflow,
    slides: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    settings: Iterable[str] = (),
    mpp: float | None = None,
    region: tuple[int, int, int, int] | None = None,
    resources: Resources = Resources(),
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
        resources: Processes, threads, device.
        dry_run: Opens the slides and plans, computes nothing, writes nothing.
        teller: Hears of progress.

    Returns:
        What became of each slide; a slide that fails does not raise.

    Raises:
        ConfigError: Workflow, settings, weights or slides are wrong; nothing was started.
    """
    planner = make_planner(workflow, list(settings), region)
    inputs = collect([slides] if isinstance(slides, str | Path) else slides, mpp)
    gpus = _gpus(resources)
    folder = Path(out)
    tell = teller or Silent()
    for text in planner.notices():
        tell.note(text)
    tell.slides(len(inputs))
    began = datetime.now(UTC)
    with connect(resources.scheduler, resources.workers, resources.threads, gpus) as client:
        work = _Work(client, folder, planner, _device(client, resources), tell, dry_run)
        outcomes = _all_slides(work, inputs, max(2, worker_count(resources.workers)))
        peak_mb = _peak_memory_mb(client)
    result = RunResult(folder, outcomes, _exit_code(outcomes))
    if not dry_run:
        write_report(folder, outcomes, began, peak_mb)
    return result


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
    codes = {outcome.code for outcome in outcomes if outcome.status == "failed"}
    if not codes:
        return ExitCode.OK
    return ExitCode.RETRY_LATER if codes <= _RETRY_CODES else ExitCode.SOME_SLIDES_FAILED


def _peak_memory_mb(client: Client) -> dict[str, float]:
    """Peak resident memory of each worker process, MB."""
    peaks = client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, on_error="ignore")
    return {f"worker {i}": round(peak) for i, peak in enumerate(peaks.values())}


@dataclass(frozen=True)
class _Work:
    """One run's common tools; ``slide`` is called once a slide, in a thread of its own."""

    client: Client
    out: Path
    planner: Planner
    device: Device
    tell: Teller
    dry_run: bool

    def slide(self, slide: SlideInput) -> SlideOutcome:
        outcome = self._attempt(slide)
        self.tell.slide(slide.slide_id, outcome.in_words())
        return outcome

    def _attempt(self, slide: SlideInput) -> SlideOutcome:
        try:
            plan = self.planner.plan(self.client, slide, self.device.name)
            if self.dry_run:
                return SlideOutcome(slide.slide_id, slide.path, "planned", plan=plan.summary())
            seconds = run_slide(self.client, plan, self.out, self.device, self.tell.shard)
        except Exception as error:  # one slide's failure, whatever it is, must not lose the others
            if self.client.status in {"closing", "closed"}:
                raise
            known = _known(error, slide)
            return SlideOutcome(slide.slide_id, slide.path, "failed", known.code, str(known))
        table = self.out / slide.slide_id / NUCLEI_TABLE
        nuclei = pq.read_metadata(table).num_rows if table.is_file() else None
        status = "done" if seconds else "kept"
        return SlideOutcome(
            slide.slide_id, slide.path, status, plan=plan.summary(), seconds=seconds, nuclei=nuclei
        )


def _known(error: Exception, slide: SlideInput) -> WsipipeError:
    if isinstance(error, WsipipeError):
        return error
    if isinstance(error, KilledWorker):
        return SlideError(
            f"{slide.path}: worker processes died while working on it, repeatedly. The file may crash its "
            f"decoder, or memory may be short; try fewer --workers, or check the file."
        )
    return InternalError(
        f"{slide.path}: {type(error).__name__}: {error}. This is a defect of wsipipe; please report it."
    )
