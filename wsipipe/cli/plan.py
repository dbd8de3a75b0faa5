"""The command plan: what a run will take, before it is started."""

from wsipipe.cli.estimates import print_estimates
from wsipipe.cli.run import (
    Image,
    Precision,
    RegionText,
    Settings,
    SlidePaths,
    Threads,
    WorkflowName,
    region_px,
)
from wsipipe.cli.shared import AsJson, DeviceName, Mpp, Workers, app, print_json
from wsipipe.errors import ExitCode


@app.command()
def plan(
    workflow: WorkflowName,
    slides: SlidePaths,
    settings: Settings = None,
    image: Image = None,
    mpp: Mpp = None,
    region: RegionText = None,
    precision: Precision = None,
    workers: Workers = None,
    threads: Threads = None,
    device: DeviceName = "auto",
    as_json: AsJson = False,
) -> int:
    """Estimate tissue, shards, disk space and time of a run.

    Each slide is opened and its tissue is found. The speed of this machine is measured on a small part of the
    first slide, which takes some ten seconds. The minutes are without the start of the processes. Nothing is
    written.
    """
    from wsipipe.pipeline.estimate.estimate import estimate_run
    from wsipipe.pipeline.options import Resources

    estimates = estimate_run(
        workflow,
        slides,
        settings=[*(settings or []), *([f"tile.image={image}"] if image else [])],
        mpp=mpp,
        region=region_px(region),
        precision=precision,
        resources=Resources(workers, threads, device=device),
    )
    found = list(estimates) if as_json else print_estimates(estimates)
    if as_json:
        print_json({"slides": [each.as_json() for each in found]})
    return int(ExitCode.SOME_SLIDES_FAILED if any(each.error for each in found) else ExitCode.OK)
