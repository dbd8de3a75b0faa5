"""Command ``train``: weights from a recipe and folders of data."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from wsipipe.cli.shared import AsJson, DeviceName, Out, app, console, print_json, stderr
from wsipipe.cli.time_left import TimeLeft
from wsipipe.errors import ConfigError, ExitCode

SECONDS_BETWEEN_LINES = 20.0


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe that comes with wsipipe, or a YAML file.")],
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Folder with training data, or slides with --annotations; repeatable."),
    ],
    out: Out,
    annotations: Annotated[
        Path | None,
        typer.Option("--annotations", help="Folder with the GeoJSON that QuPath exported for the slides."),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(min=0, help="Fold to hold out (default: validation.fold of the recipe).")
    ] = None,
    all_data: Annotated[bool, typer.Option("--all-data", help="Hold nothing out.")] = False,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Folds of a cross-validation, followed by training on all data."),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option("--leave-out", help="Source to hold out entirely, such as tnbc; can be repeated."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override section.key=value, for example fit.steps=500.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Torch threads (default: as in the recipe).")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare samples; 0 uses a thread.")] = 0,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes-per-piece", min=0, help="Stop after this time; the same command resumes."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Resume from the checkpoint in OUT, or delete it.")
    ] = True,
    device: DeviceName = "auto",
    as_json: AsJson = False,
) -> int:
    """Train a network on your data.

    If the exit code is 75, training is not finished: run the same command again.
    """
    from wsipipe.training.cross_validation import cross_validate
    from wsipipe.training.datasets.annotated_slides import sources_of
    from wsipipe.training.fit import FitStatus
    from wsipipe.training.recipe import read_recipe
    from wsipipe.training.train import TrainingResources
    from wsipipe.training.train import train as train_one

    if folds is not None and (fold is not None or all_data):
        raise ConfigError("--folds trains every fold and then on all data. Remove --fold and --all-data.")
    if leave_out and (folds is not None or fold is not None or all_data):
        raise ConfigError("--leave-out holds out whole sources. Remove --folds, --fold and --all-data.")
    left_out = [f"validation.leave_out={json.dumps(leave_out)}"] if leave_out else []
    chosen = read_recipe(recipe, [*(settings or []), *left_out])
    if not resume:
        delete_progress(out)
    sources = sources_of(data, annotations)
    deadline = time.monotonic() + 60 * minutes if minutes else float("inf")
    resources = TrainingResources(device, threads or chosen.threads, workers, deadline)
    stream = stderr if as_json else console
    left = TimeLeft(networks_to_train(out, folds))
    with (
        RichTrainingReporter(stream, left) if stream.is_terminal else PlainTrainingReporter(stream, left)
    ) as reporter:
        if folds is not None:
            status = cross_validate(chosen, sources, out, folds, resources, reporter)
        else:
            held_out = None if all_data else chosen.validation.fold if fold is None else fold
            status = train_one(chosen, sources, out, held_out, resources, reporter)
    finished = status is not FitStatus.PAUSED
    if as_json:
        print_json(training_result(chosen.task, chosen.name, out, finished))
    elif finished:
        print_summary(chosen.task, chosen.name, out)
    else:
        console.print(f"Not finished. Run the same command again to resume from {out}.", soft_wrap=True)
    return int(ExitCode.OK if finished else ExitCode.RETRY_LATER)


def delete_progress(out: Path) -> None:
    """Delete the files from which a training would resume."""
    for folder in (out, *out.glob("fold*")):
        for name in ("checkpoint.pt", "result.json", "cross_validation.json"):
            (folder / name).unlink(missing_ok=True)


def networks_to_train(out: Path, folds: int | None) -> int:
    """Return the number of networks that a command has still to train."""
    return 1 if folds is None else folds + 1 - len(list(out.glob("fold*/result.json")))


def training_result(task: str, name: str, out: Path, finished: bool) -> dict[str, object]:
    """Return the output of ``train --json``.

    It names the weights and their scores; ``weights`` is null until training has finished.
    """
    from wsipipe.models.cards.weights import read_card

    found: dict[str, object] = {"name": name, "task": task, "out": str(out), "finished": finished}
    if not finished:
        return found | {"weights": None, "metrics": {}}
    weights = out / f"{name}.safetensors"
    card = read_card(weights)
    return found | {
        "weights": str(weights),
        "metrics": card.metrics,
        "notes": card.notes,
        "licence": card.licence,
        "intended_use": card.intended_use,
    }


def print_summary(task: str, name: str, out: Path) -> None:
    """Print the path of the weights, their scores and how to use them."""
    from wsipipe.models.cards.weights import read_card

    weights = out / f"{name}.safetensors"
    card = read_card(weights)
    for key, value in card.metrics.items():
        console.print(f"{key} {value:.4f}")
    console.print(card.notes, soft_wrap=True, markup=False)
    workflow, stage = ("nuclei", "segment") if task == "nuclei" else ("tissue", "classify")
    console.print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB. {card.intended_use}", soft_wrap=True)
    console.print(
        f"Use it: wsipipe run {workflow} SLIDE --set {stage}.weights={weights} --out RESULTS", soft_wrap=True
    )


class PlainTrainingReporter:
    """Reporter of plain lines, at most one every 20 seconds, for logs and pipes."""

    def __init__(self, stream: Console = console, left: TimeLeft | None = None) -> None:
        self._stream, self._left = stream, left or TimeLeft()
        self._name, self._steps, self._last = "", 0, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def started(self, name: str, done: int, steps: int) -> None:
        """Print the first step."""
        self._name, self._steps = name, steps
        self._left.started(steps)
        self.message(f"{name}: step {done} of {steps}")

    def stepped(self, done: int, loss: float) -> None:
        """Print a step if enough time has passed."""
        now, left = time.monotonic(), self._left.text(done)
        if now - self._last > SECONDS_BETWEEN_LINES or done == self._steps:
            self._last = now
            parts = (f"step {done} of {self._steps}", f"loss {loss:.4f}", left)
            self.message(f"{self._name}: {', '.join(filter(None, parts))}")

    def message(self, text: str) -> None:
        """Print the text as one line."""
        self._stream.print(text, soft_wrap=True)


class RichTrainingReporter:
    """Reporter with a progress bar for the trained network."""

    def __init__(self, stream: Console = console, left: TimeLeft | None = None) -> None:
        self._left = left or TimeLeft()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=stream,
        )
        self._task = self._bars.add_task("", total=None, loss=0.0, left="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def started(self, name: str, done: int, steps: int) -> None:
        """Reset the bar."""
        self._left.started(steps)
        self._bars.reset(self._task, description=name, completed=done, total=steps, left="")

    def stepped(self, done: int, loss: float) -> None:
        """Advance the bar."""
        self._bars.update(self._task, completed=done, loss=loss, left=self._left.text(done))

    def message(self, text: str) -> None:
        """Print the text above the bar."""
        self._bars.console.print(text, highlight=False, markup=False)
