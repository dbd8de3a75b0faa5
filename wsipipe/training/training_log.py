"""Training log as CSV and PNG, and progress reporters."""

import csv
from io import StringIO
from pathlib import Path
from typing import Protocol

from wsipipe.common.atomic_files import write_durable

Row = dict[str, float]
FIRST = ("step", "minutes", "loss", "learning_rate", "gradient")


class TrainingReporter(Protocol):
    """Receiver of the progress of a training."""

    def started(self, name: str, done: int, steps: int) -> None:
        """Report that training starts after ``done`` of ``steps``."""
        ...

    def stepped(self, done: int, loss: float) -> None:
        """Report the number of finished steps and the last loss."""
        ...

    def message(self, text: str) -> None:
        """Report a message."""
        ...


class NullTrainingReporter:
    """Reporter that discards everything."""

    def started(self, name: str, done: int, steps: int) -> None:
        """Discard the start."""

    def stepped(self, done: int, loss: float) -> None:
        """Discard the step."""

    def message(self, text: str) -> None:
        """Discard the message."""


def write_log(rows: list[Row], folder: Path) -> None:
    """Write ``log.csv`` and ``curves.png`` of all rows."""
    names = [*FIRST, *sorted({name for row in rows for name in row} - set(FIRST))]
    text = StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    write_durable(folder / "log.csv", text.getvalue().encode())
    _draw(rows, [name for name in names if name not in (*FIRST, "score")], folder / "curves.png")


def _draw(rows: list[Row], scores: list[str], path: Path) -> None:
    """Plot loss and validation scores by step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3 + 3 * bool(scores)), dpi=90, layout="constrained")
    panels = figure.subplots(1 + bool(scores), 1, squeeze=False, sharex=True)[:, 0]
    panels[0].plot([row["step"] for row in rows], [row["loss"] for row in rows], color="#3b5b92")
    panels[0].set(ylabel="loss", yscale="log" if all(row["loss"] > 0 for row in rows) else "linear")
    for name in scores:
        known = [row for row in rows if name in row]
        panels[-1].plot(
            [row["step"] for row in known], [row[name] for row in known], "o-", markersize=3, label=name
        )
    if scores:
        panels[-1].legend(fontsize=8)
        panels[-1].set(ylabel="on held-out data")
    panels[-1].set_xlabel("step")
    figure.savefig(path, metadata={"Software": None})
