"""Verbs that compute: run a workflow, and the demo."""

import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from wsipipe.cli.shared import (
    AsJson,
    DeviceName,
    Mpp,
    Out,
    Workers,
    app,
    console,
    print_json,
    print_rows,
    stderr,
)
from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.errors import ConfigError

Settings = Annotated[
    list[str] | None, typer.Option("--set", help="stage.key=value, for example tile.mpp=0.25.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of a network in each process.")]


Budget = Annotated[
    str | None,
    typer.Option("--memory-budget", help="For the whole run, as 8GB or 8GiB: plans workers and shards."),
]
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])(I?)B?\s*", re.IGNORECASE)


@app.command()
def run(
    workflow: Annotated[
        str, typer.Argument(help="nuclei, tissue, nuclei_and_tissue, tiling_only, or a YAML file.")
    ],
    slides: Annotated[list[str], typer.Argument(help="Files, folders, globs, or a manifest CSV.")],
    out: Out,
    settings: Settings = None,
    image: Annotated[
        str | None, typer.Option(help="lossless, jpeg:QUALITY or none; as --set tile.image=...")
    ] = None,
    mpp: Mpp = None,
    region: Annotated[
        str | None, typer.Option(help="y,x,height,width in level-0 px: only this part.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, float32 (the same bits on all x86 processors) or bfloat16.")
    ] = None,
    workers: Workers = None,
    threads: Threads = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask cluster, tcp://...")] = None,
    device: DeviceName = "auto",
    memory_budget: Budget = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Compute all anew; earlier results are put aside.")
    ] = False,
    max_failures: Annotated[
        str | None, typer.Option(help="N or P%: begin no further slide once more have failed.")
    ] = None,
    checksums: Annotated[
        Path | None, typer.Option(help="SHA256SUMS that the slides must fit; see wsipipe index.")
    ] = None,
    shard_timeout: Annotated[
        float, typer.Option(min=1, help="Seconds after which a shard is taken for hung.")
    ] = 900,
    include_label_images: Annotated[
        bool,
        typer.Option("--include-label-images", help="Copy label and macro images; they may name patients."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Open and plan; compute and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Runs a workflow on slides; one folder a slide in OUT. Finished slides and shards are kept."""
    from wsipipe.pipeline.options import RunPolicy
    from wsipipe.pipeline.run import Resources
    from wsipipe.pipeline.run import run as run_workflow

    result = with_progress(
        lambda reporter: run_workflow(
            workflow,
            slides,
            out,
            settings=[*(settings or []), *([f"tile.image={image}"] if image else [])],
            mpp=mpp,
            region=_region(region),
            precision=precision,
            resources=Resources(workers, threads, scheduler, device, budget_bytes(memory_budget)),
            policy=RunPolicy(restart, max_failures, checksums, shard_timeout),
            include_label_images=include_label_images,
            dry_run=dry_run,
            reporter=reporter,
        ),
        as_json,
    )
    print_runs(out, [result], as_json, dry_run)
    return int(result.exit_code)


@app.command()
def demo(
    out: Out = Path("demo"),
    slide: Annotated[Path | None, typer.Option(help="A slide of yours instead of a synthetic one.")] = None,
    workers: Workers = None,
    device: DeviceName = "auto",
) -> int:
    """Makes a small synthetic slide, runs nuclei_and_tissue on it, tells how well it fits the truth."""
    from wsipipe.pipeline.demo import run_demo

    result, agreement = with_progress(lambda reporter: run_demo(out, slide, workers, device, reporter))
    print_runs(out, [result])
    for finished in result.results():
        for path in sorted(finished.folder.iterdir()):
            console.print(f"  {path}", soft_wrap=True)
        console.print(f"Look at it: wsipipe view {finished.folder}", soft_wrap=True)
    for name, value in agreement.items():
        console.print(f"agreement with the truth: {name} {value:.3f}".removesuffix(".000"))
    return int(result.exit_code)


def with_progress(work: Any, as_json: bool = False) -> Any:
    """What ``work`` returns, its progress shown live on a terminal and as lines elsewhere.

    Args:
        work: Called with the one to tell.
        as_json: Keep standard output free for JSON; progress goes to standard error.
    """
    from wsipipe.pipeline.reporting.progress import PlainReporter, RichReporter

    stream = stderr if as_json else console
    live = RichReporter(stream) if stream.is_terminal else None
    with live or nullcontext():
        return work(live or PlainReporter(stream))


def budget_bytes(text: str | None) -> int | None:
    """``8GB``, ``500 MB``, ``8G`` (powers of 1,000) or ``8GiB`` (powers of 1,024) -> bytes.

    Raises:
        ConfigError: It is no size.
    """
    if text is None:
        return None
    found = _SIZE.fullmatch(text)
    if not found:
        raise ConfigError(f"--memory-budget {text!r}: give a number and a unit, as 8GB, 8GiB or 1500M.")
    thousands = "KMGT".index(found[2].upper()) + 1
    return int(float(found[1]) * (1024 if found[3] else 1000) ** thousands)


def _region(text: str | None) -> tuple[int, int, int, int] | None:
    if text is None:
        return None
    try:
        y, x, height, width = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--region {text!r}: give four whole numbers y,x,height,width in level-0 px."
        ) from error
    return y, x, height, width


def print_runs(out: Path, results: Sequence[Any], as_json: bool = False, dry_run: bool = False) -> None:
    """Print what became of the slides of one or several runs: as JSON, or as text for people.

    Args:
        out: Folder of the results.
        results: ``RunResult`` of each.
        as_json: One JSON object: ``out``, ``exit_code``, and ``slides`` as in ``run.json``.
        dry_run: Only planned.
    """
    slides = [slide for result in results for slide in result.slides]
    if as_json:
        code = max((int(result.exit_code) for result in results), default=0)
        print_json({"out": str(out), "exit_code": code, "slides": [slide.as_json() for slide in slides]})
        return
    if dry_run:
        for slide in slides:
            print_json(slide.plan or {"slide_id": slide.slide_id, "failed": slide.code})
    failed = [slide for slide in slides if slide.status == "failed"]
    if failed:
        console.print(f"{len(failed)} of {len(slides)} failed")
        print_rows(
            ("slide", "code", "what happened and what to do"),
            [(slide.path.name, slide.code, slide.message) for slide in failed],
        )
    if not dry_run:
        console.print(f"Results in {out}; open {out / 'report.html'}. {RESEARCH_USE_NOTICE}", soft_wrap=True)
