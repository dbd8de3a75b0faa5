"""Progress of a run, as a live display or as plain lines."""

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from wsipipe.pipeline.reporting.outcome import SlideOutcome

SECONDS_BETWEEN_LINES = 5.0


@dataclass(frozen=True)
class ShardProgress:
    """Progress of a stage after one of its shards.

    Attributes:
        slide_id: Identifier of the slide.
        stage: Name of the stage.
        done: Number of finished shards, including those kept from an earlier run.
        total: Number of shards of the stage.
        mpx_per_second: Canvas Mpx per second since the stage began; 0 before the first shard.
    """

    slide_id: str
    stage: str
    done: int
    total: int
    mpx_per_second: float


class ProgressReporter(Protocol):
    """Receiver of progress and messages."""

    def slides(self, total: int) -> None:
        """Report the number of slides of the run."""
        ...

    def shard(self, progress: ShardProgress) -> None:
        """Report a finished shard."""
        ...

    def slide(self, slide_id: str, text: str) -> None:
        """Report a slide that ended, with its outcome."""
        ...

    def message(self, text: str) -> None:
        """Report anything else that the user should know."""
        ...


def announce(reporter: ProgressReporter, outcome: SlideOutcome) -> None:
    """Report the outcome of a slide and its warnings."""
    reporter.slide(outcome.slide_id, outcome.in_words())
    for warning in outcome.warnings:
        reporter.message(f"{outcome.slide_id}: WARNING {warning.code}: {warning.message}")


class NullReporter:
    """A reporter that shows nothing."""

    def slides(self, total: int) -> None:
        """Ignore the number."""

    def shard(self, progress: ShardProgress) -> None:
        """Ignore the shard."""

    def slide(self, slide_id: str, text: str) -> None:
        """Ignore the slide."""

    def message(self, text: str) -> None:
        """Ignore the text."""


class PlainReporter:
    """A reporter for logs and pipes that prints plain lines.

    It prints at most one line per slide every few seconds.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, float] = {}

    def slides(self, total: int) -> None:
        """Print the number."""
        self.message(f"{total} slide{'s' * (total != 1)}")

    def shard(self, progress: ShardProgress) -> None:
        """Print the last shard of a stage, and some of the others."""
        now = time.monotonic()
        last = self._last.get(progress.slide_id, 0.0)
        if progress.done == progress.total or now - last > SECONDS_BETWEEN_LINES:
            self._last[progress.slide_id] = now
            speed = f", {progress.mpx_per_second:.2f} Mpx/s" if progress.mpx_per_second else ""
            self.message(f"{progress.slide_id}: {progress.stage} {progress.done}/{progress.total}{speed}")

    def slide(self, slide_id: str, text: str) -> None:
        """Print the outcome."""
        self.message(f"{slide_id}: {text}")

    def message(self, text: str) -> None:
        """Print the text as one line, however long."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class RichReporter:
    """A reporter for terminals that shows progress bars.

    There is one bar for all slides, and one per slide for the shards of all its stages.
    """

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._all = self._bars.add_task("slides", total=None, speed="")
        self._slides: dict[str, tuple[TaskID, dict[str, tuple[int, int]]]] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def slides(self, total: int) -> None:
        """Set the length of the bar of all slides."""
        self._bars.update(self._all, total=total)

    def shard(self, progress: ShardProgress) -> None:
        """Advance the slide's bar, which counts the shards of all stages."""
        if progress.slide_id not in self._slides:
            self._slides[progress.slide_id] = (self._bars.add_task("", total=None, speed=""), {})
        bar, stages = self._slides[progress.slide_id]
        stages[progress.stage] = (progress.done, progress.total)
        self._bars.update(
            bar,
            description=f"{progress.slide_id[:40]} · {progress.stage} {progress.done}/{progress.total}",
            completed=sum(done for done, _ in stages.values()),
            total=sum(total for _, total in stages.values()),
            speed=f"{progress.mpx_per_second:.2f} Mpx/s" if progress.mpx_per_second else "",
        )

    def slide(self, slide_id: str, text: str) -> None:
        """Remove the slide's bar and print the outcome above the display."""
        if slide_id in self._slides:
            self._bars.remove_task(self._slides.pop(slide_id)[0])
        self._bars.advance(self._all)
        self._bars.console.print(f"{slide_id}: {text}", highlight=False, markup=False)

    def message(self, text: str) -> None:
        """Print the text above the display."""
        self._bars.console.print(text, highlight=False, markup=False)
