"""The command plan: what a run will take, before it is started."""

from wsipipe.cli.estimates import print_estimates
from wsipipe.cli.option_groups import grouped
from wsipipe.cli.run_options import MachineOptions, RequestOptions
from wsipipe.cli.shared import AsJson, app, print_json
from wsipipe.errors import ExitCode


@app.command()
@grouped
def plan(request: RequestOptions, machine: MachineOptions, as_json: AsJson = False) -> int:
    """Estimate tissue, shards, disk space and time of a run.

    Each slide is opened and its tissue is found. The speed of this machine is measured on a small part of the
    first slide, which takes some ten seconds. The minutes are without the start of the processes. Nothing is
    written.
    """
    from wsipipe.pipeline.estimate.estimate import estimate_run

    estimates = estimate_run(
        request.workflow,
        request.slides,
        settings=request.all_settings,
        mpp=request.mpp,
        region=request.part_px,
        precision=request.precision,
        resources=machine.resources(),
        regions=request.regions,
    )
    found = list(estimates) if as_json else print_estimates(estimates)
    if as_json:
        print_json({"slides": [each.as_json() for each in found]})
    return int(ExitCode.SOME_SLIDES_FAILED if any(each.error for each in found) else ExitCode.OK)
