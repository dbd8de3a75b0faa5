"""The slides of OUT that did not finish, run again as they were asked for."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsipipe.pipeline.options import RunPolicy
from wsipipe.pipeline.planning.planner import make_planner
from wsipipe.pipeline.reporting.progress import NullReporter, ProgressReporter
from wsipipe.pipeline.reporting.run_record import RunRequest, input_of, read_record, request_of
from wsipipe.pipeline.run import Resources, RunResult, run_inputs
from wsipipe.pipeline.slide_run import restart_began
from wsipipe.stages.workflow import Workflow

_UNFINISHED = {"failed", "skipped", "running", "waiting"}


@dataclass(frozen=True)
class _Job:
    """What slides must share to be run again together.

    Attributes:
        key: Of what was asked, in the record.
        auto: Precision that ``auto`` meant when they were run; None if they never came so far.
        restart: Whether they are still to be started from nothing.
    """

    key: str
    auto: str | None
    restart: bool


def retry(
    out: Path, only: str | None, resources: Resources, reporter: ProgressReporter | None = None
) -> list[RunResult]:
    """Run again what failed, was skipped or interrupted; one run for each workflow that was asked for.

    The plans are those of the first run, so finished shards are kept and the results are the same.

    Args:
        out: Folder of the results.
        only: Code of failure; None for all, also those that were skipped or interrupted.
        resources: Processes, threads, device, memory.
        reporter: Hears of progress.

    Raises:
        StorageError: OUT was never the folder of a run.
        ConfigError: A workflow's weights are gone.
    """
    record = read_record(out)
    wanted = [
        slide
        for slide in record["slides"]
        if "asked" in slide and (slide["status"] in _UNFINISHED if only is None else slide["code"] == only)
    ]
    jobs: dict[_Job, list[dict[str, Any]]] = {}
    for slide in wanted:
        jobs.setdefault(_job_of(out, record, slide), []).append(slide)
    return [
        _run(out, job, request_of(record, slides[0]), slides, resources, reporter or NullReporter())
        for job, slides in sorted(jobs.items(), key=lambda each: str(each[0]))
    ]


def _run(
    out: Path,
    job: _Job,
    asked: RunRequest,
    slides: list[dict[str, Any]],
    resources: Resources,
    reporter: ProgressReporter,
) -> RunResult:
    planner = replace(make_planner(asked.workflow, [], asked.region), auto=job.auto)
    policy = RunPolicy(job.restart, None, asked.checksums, asked.shard_timeout_s)
    return run_inputs(planner, [input_of(slide) for slide in slides], out, resources, policy, reporter)


def _job_of(out: Path, record: dict[str, Any], slide: dict[str, Any]) -> _Job:
    asked = request_of(record, slide)
    alike = [other for other in record["slides"] if other.get("asked") == slide["asked"]]
    # Its own plan knows best; before it had one, those of its run.
    auto = _meaning_of_auto(asked.workflow, [slide, *alike])
    restart = asked.restart and not restart_began(out, slide["slide_id"])
    return _Job(slide["asked"], auto, restart)


def _meaning_of_auto(workflow: Workflow, slides: Iterable[dict[str, Any]]) -> str | None:
    open_stages = [name for name, params in workflow.networks().items() if params.precision == "auto"]
    for slide in slides:
        parameters = slide["plan"].get("parameters", {})
        for stage in open_stages:
            if parameters.get(stage):
                return str(parameters[stage]["precision"])
    return None
