"""Commands that compute: run and demo."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsipipe.cli.estimates import print_estimates
from wsipipe.cli.option_groups import grouped
from wsipipe.cli.quantities import budget_bytes as budget_bytes
from wsipipe.cli.quantities import region_px as region_px
from wsipipe.cli.quantities import slurm_options
from wsipipe.cli.run_options import MachineOptions, RequestOptions
from wsipipe.cli.shared import (
    AsJson,
    DeviceName,
    Out,
    Workers,
    app,
    console,
    print_json,
    print_rows,
    stderr,
)
from wsipipe.common.about import RESEARCH_USE_NOTICE

if TYPE_CHECKING:
    from wsipipe.pipeline.reporting.progress import ProgressReporter
    from wsipipe.pipeline.run import RunResult


@app.command()
@grouped
def run(
    out: Out,
    request: RequestOptions,
    machine: MachineOptions,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, tcp://...")] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="slurm", help="Run --workers as jobs of this batch system.")
    ] = None,
    cluster_options: Annotated[
        list[str] | None,
        typer.Option("--cluster-option", metavar="KEY=VALUE", help="Option of the jobs: partition=long."),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            "--part", metavar="I/N", help="Run the I-th of N shares; other processes run the others."
        ),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Compute all again; old results move to OUT/.replaced."),
    ] = False,
    max_failures: Annotated[
        str | None,
        typer.Option(help="Start no further slide after more failures than N or P%."),
    ] = None,
    checksums: Annotated[
        Path | None, typer.Option(help="SHA256SUMS file that the slides must match; see wsipipe index.")
    ] = None,
    shard_timeout: Annotated[
        float,
        typer.Option(min=1, help="Seconds after which a shard counts as hung and is rerun."),
    ] = 900,
    include_label_images: Annotated[
        bool,
        typer.Option("--include-label-images", help="Copy label and macro images; may show patient names."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Open, plan and estimate the slides; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Run a workflow on slides.

    Each slide gets one folder in OUT. Finished slides and shards of an earlier run are kept.
    """
    from wsipipe.tiling.presence import check_presence

    # The commonest mistake is reported before the pipeline is imported.
    check_presence(request.slides)
    from wsipipe.pipeline.options import RunPolicy
    from wsipipe.pipeline.parts import Part
    from wsipipe.pipeline.run import run as run_workflow

    share = Part.parse(part) if part is not None else None
    resources = machine.resources(scheduler, slurm_options(cluster, cluster_options or []))
    result = with_progress(
        lambda reporter: run_workflow(
            request.workflow,
            request.slides,
            out,
            settings=request.all_settings,
            mpp=request.mpp,
            region=request.part_px,
            precision=request.precision,
            resources=resources,
            policy=RunPolicy(restart, max_failures, checksums, shard_timeout),
            include_label_images=include_label_images,
            dry_run=dry_run,
            regions=request.regions,
            reporter=reporter,
            part=share,
        ),
        as_json,
    )
    print_runs(out, [result], as_json, dry_run)
    if dry_run and not as_json:
        from wsipipe.pipeline.estimate.estimate import estimate_planned

        print_estimates(estimate_planned(result.plans, resources))
    return int(result.exit_code)


@app.command()
def demo(
    out: Out = Path("demo"),
    slide: Annotated[Path | None, typer.Option(help="Slide to use instead of a synthetic one.")] = None,
    workers: Workers = None,
    device: DeviceName = "auto",
) -> int:
    """Run nuclei_and_tissue on a small synthetic slide.

    The result is compared with the exact truth of the slide.
    """
    from wsipipe.pipeline.demo import run_demo

    result, agreement = with_progress(lambda reporter: run_demo(out, slide, workers, device, reporter))
    print_runs(out, [result])
    for finished in result.results():
        for path in sorted(finished.folder.iterdir()):
            console.print(f"  {path}", soft_wrap=True)
        console.print(f"View it: wsipipe view {finished.folder}", soft_wrap=True)
    for name, value in agreement.items():
        console.print(f"agreement with the truth: {name} {value:.3f}".removesuffix(".000"))
    return int(result.exit_code)


def with_progress[Outcome](work: Callable[["ProgressReporter"], Outcome], as_json: bool = False) -> Outcome:
    """Call ``work`` with a reporter of its progress, and return its result.

    Progress is shown as a live display on a terminal, and as lines elsewhere.

    Args:
        work: Function to call with the reporter.
        as_json: Whether standard output is kept free for JSON; progress then goes to standard error.
    """
    from wsipipe.pipeline.reporting.progress import PlainReporter, RichReporter

    stream = stderr if as_json else console
    live = RichReporter(stream) if stream.is_terminal else None
    with live or nullcontext():
        return work(live or PlainReporter(stream))


def print_runs(
    out: Path, results: Sequence["RunResult"], as_json: bool = False, dry_run: bool = False
) -> None:
    """Print the outcomes of the slides of one or several runs.

    Args:
        out: Folder of the results.
        results: Result of each run.
        as_json: Whether to print one JSON object: ``out``, ``exit_code``, and ``slides`` as in ``run.json``.
        dry_run: Whether the slides were only planned.
    """
    slides = [slide for result in results for slide in result.slides]
    if as_json:
        code = max((int(result.exit_code) for result in results), default=0)
        print_json({"out": str(out), "exit_code": code, "slides": [slide.as_json() for slide in slides]})
        return
    if dry_run:
        for slide in slides:
            print_json(slide.plan if slide.plan else {"slide_id": slide.slide_id, "failed": slide.code})
    failed = [slide for slide in slides if slide.status == "failed"]
    if failed:
        console.print(f"{len(failed)} of {len(slides)} failed")
        print_rows(
            ("slide", "code", "what failed and what to do"),
            [(slide.path.name, slide.code, slide.message) for slide in failed],
        )
    if not dry_run:
        console.print(f"Results in {out}; open {out / 'report.html'}. {RESEARCH_USE_NOTICE}", soft_wrap=True)
