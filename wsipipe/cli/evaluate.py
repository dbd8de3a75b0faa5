"""Verb evaluate: how good weights are on labelled data, upright, turned and mirrored."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import Progress

from wsipipe.cli.shared import AsJson, app, console, stderr


@app.command()
def evaluate(
    weights: Annotated[
        str,
        typer.Argument(
            help="Name of weights, a .safetensors file, or the folder of a cross-validation, whose networks "
            "are asked about what each had held out."
        ),
    ],
    data: Annotated[Path, typer.Option(help="Folder of fields or tiles, in any known layout.")],
    angles: Annotated[
        float | None, typer.Option(help="Also turned test sets, every so many degrees; 10 gives 36.")
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Also mirrored test sets.")] = False,
    only_groups: Annotated[
        str, typer.Option(help="Only these organs or patients, separated by commas.")
    ] = "",
    side: Annotated[
        int | None, typer.Option(min=64, help="Only the middle of each field, its own px; quicker.")
    ] = None,
    max_samples: Annotated[
        int | None, typer.Option("--max-samples", "--max-fields", min=1, help="At most so many; quicker.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for JSON, Markdown and plots.")] = None,
    into_card: Annotated[
        bool, typer.Option("--into-card", help="Put the scores and intervals into the weights' card.")
    ] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where it runs.")] = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float64"], typer.Option(help="In what it computes.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Of the CPU; default all.")] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Scores weights on labelled fields (nuclei) or tiles (tissue); see docs/evaluation.md."""
    from wsipipe.training.evaluation.card_update import put_into_card
    from wsipipe.training.evaluation.evaluate import evaluate as measure
    from wsipipe.training.evaluation.report import as_markdown, write_report
    from wsipipe.training.evaluation.settings import EvaluationSettings

    groups = tuple(name.strip() for name in only_groups.split(",") if name.strip())
    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task("evaluating", total=None)
        settings = EvaluationSettings(
            angles=angles,
            mirror=mirror,
            groups=groups,
            side_px=side,
            max_samples=max_samples,
            seed=seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
        threads = threads or os.cpu_count() or 1
        found = measure(weights, data, settings, device=device, precision=precision, threads=threads)
    if as_json:
        console.print_json(found.model_dump_json())
        if found.caution:
            stderr.print(f"Caution: not a test. {found.caution}", soft_wrap=True)
    else:
        console.print(as_markdown(found), soft_wrap=True)
    written = write_report(found, out) if out else []
    for path in [*written, *([put_into_card(found, weights)] if into_card else [])]:
        stderr.print(f"{path} written", soft_wrap=True)
