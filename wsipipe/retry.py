"""The slides of OUT that did not finish, run again as they were asked for."""

from pathlib import Path

from wsipipe.care import CAREFUL
from wsipipe.planner import make_planner
from wsipipe.progress import Silent, Teller
from wsipipe.record import asked_of, input_of, read_record
from wsipipe.workflow import Resources, RunResult, run_inputs

_UNFINISHED = {"failed", "skipped", "running", "waiting"}


def retry(out: Path, only: str | None, resources: Resources, teller: Teller | None = None) -> list[RunResult]:
    """Runs again what failed, was skipped or interrupted; one run for each workflow that was asked for.

    Args:
        out: Folder of the results.
        only: Code of failure; None for all, also those that were skipped or interrupted.
        resources: Processes, threads, device, memory.
        teller: Hears of progress.

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
    results = []
    for key in sorted({slide["asked"] for slide in wanted}):
        slides = [slide for slide in wanted if slide["asked"] == key]
        asked = asked_of(record, slides[0])
        planner = make_planner(asked.workflow, [], asked.region)
        inputs = [input_of(slide) for slide in slides]
        results.append(run_inputs(planner, inputs, out, resources, CAREFUL, teller or Silent()))
    return results
