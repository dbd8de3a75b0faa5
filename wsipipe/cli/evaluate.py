"""Command ``evaluate``: scores of weights on labelled data."""

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
            help="Name of weights, a .safetensors file, or a cross-validation folder: each model is "
            "evaluated on its held-out samples."
        ),
    ],
    data: Annotated[Path, typer.Option(help="Folder of fields or tiles, in any known layout.")],
    angles: Annotated[
        float | None, typer.Option(help="Step in degrees of rotated test sets; 10 gives 36 (default: none).")
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Evaluate mirrored test sets too.")] = False,
    only_groups: Annotated[
        str, typer.Option(help="Organs or patients to evaluate, separated by commas (default: all).")
    ] = "",
    side: Annotated[
        int | None,
        typer.Option(min=64, help="Side in px of the evaluated middle square of each field."),
    ] = None,
    max_samples: Annotated[
        int | None,
        typer.Option("--max-samples", "--max-fields", min=1, help="Largest number of samples."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for JSON, Markdown and plots.")] = None,
    into_card: Annotated[
        bool, typer.Option("--into-card", help="Write the scores and intervals to the card of the weights.")
    ] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Device.")] = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float64"], typer.Option(help="Numerical precision.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Number of CPU threads (default: all).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Score weights on labelled fields (nuclei) or tiles (tissue).

    All scores are explained in docs/evaluation.md.
    """
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
