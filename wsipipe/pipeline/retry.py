"""Rerun of unfinished slides with their original request."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from wsipipe.pipeline.options import Resources, RunPolicy
from wsipipe.pipeline.planning.planner import make_planner
from wsipipe.pipeline.reporting.progress import NullReporter, ProgressReporter
from wsipipe.pipeline.reporting.run_json import RunEntry, SlideEntry
from wsipipe.pipeline.reporting.run_record import RunRequest, input_of, read_record, request_of
from wsipipe.pipeline.run_inputs import run_inputs
from wsipipe.pipeline.run_result import RunResult
from wsipipe.pipeline.work_folders import restart_began
from wsipipe.stages.workflow import Workflow

_UNFINISHED = {"failed", "skipped", "running", "waiting"}


@dataclass(frozen=True)
class _Job:
    """What slides must share to be rerun together.

    Attributes:
        key: Key of their request in the record.
        auto: Precision that ``auto`` stood for in their first run; None if they were never planned.
        restart: Whether they still have to be computed from the start.
    """

    key: str
    auto: str | None
    restart: bool


def retry(
    out: Path, only: str | None, resources: Resources, reporter: ProgressReporter | None = None
) -> list[RunResult]:
    """Rerun slides that failed, were skipped or were interrupted.

    There is one run per workflow. The plans are those of the first run, so finished shards are kept and the
    results are the same.

    Args:
        out: Folder of the results.
        only: Error code of the slides to rerun; None for all, including skipped and interrupted ones.
        resources: Processes, threads, device, memory.
        reporter: Receiver of progress and messages.

    Raises:
        StorageError: OUT is not the folder of a run.
        ConfigError: The weights of a workflow are missing.
    """
    record = read_record(out)
    wanted = [
        slide
        for slide in record["slides"]
        if "asked" in slide and (slide["status"] in _UNFINISHED if only is None else slide["code"] == only)
    ]
    jobs: dict[_Job, list[SlideEntry]] = {}
    for slide in wanted:
        jobs.setdefault(_job_of(out, record, slide), []).append(slide)
    return [
        _run(out, job, request_of(record, slides[0]), slides, resources, reporter or NullReporter())
        for job, slides in sorted(jobs.items(), key=lambda each: str(each[0]))
    ]


def _run(
    out: Path,
    job: _Job,
    request: RunRequest,
    slides: list[SlideEntry],
    resources: Resources,
    reporter: ProgressReporter,
) -> RunResult:
    planner = replace(make_planner(request.workflow, [], request.region), auto=job.auto)
    policy = RunPolicy(job.restart, None, request.checksums, request.shard_timeout_s)
    return run_inputs(planner, [input_of(slide) for slide in slides], out, resources, policy, reporter)


def _job_of(out: Path, record: RunEntry, slide: SlideEntry) -> _Job:
    request = request_of(record, slide)
    same_request = [other for other in record["slides"] if other.get("asked") == slide["asked"]]
    # A slide that was never planned takes the precision of the other slides of its run.
    auto = _meaning_of_auto(request.workflow, [slide, *same_request])
    restart = request.restart and not restart_began(out, slide["slide_id"])
    return _Job(slide["asked"], auto, restart)


def _meaning_of_auto(workflow: Workflow, slides: Iterable[SlideEntry]) -> str | None:
    open_stages = [name for name, params in workflow.networks().items() if params.precision == "auto"]
    for slide in slides:
        parameters = slide["plan"].get("parameters", {})
        for stage in open_stages:
            if parameters.get(stage):
                return str(parameters[stage]["precision"])
    return None
