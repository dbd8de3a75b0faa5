"""Progress of a run: one live display on a terminal, plain lines elsewhere."""

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

SECONDS_BETWEEN_LINES = 5.0


@dataclass(frozen=True)
class ShardProgress:
    """Told after every shard.

    Attributes:
        slide_id: Which slide.
        stage: Which stage.
        done: Shards done, those kept from an earlier run included.
        total: Shards of the stage.
        mpx_per_second: Canvas Mpx a second since the stage began; 0 before the first shard.
    """

    slide_id: str
    stage: str
    done: int
    total: int
    mpx_per_second: float


class ProgressReporter(Protocol):
    """Hears of shards and slides as they end."""

    def slides(self, total: int) -> None:
        """The run is about so many slides."""
        ...

    def shard(self, progress: ShardProgress) -> None:
        """A shard is done."""
        ...

    def slide(self, slide_id: str, text: str) -> None:
        """A slide is done, kept or failed."""
        ...

    def message(self, text: str) -> None:
        """Something that the user should know before the work begins."""
        ...


class NullReporter:
    """Tells nobody."""

    def slides(self, total: int) -> None:
        """Ignores the count."""

    def shard(self, progress: ShardProgress) -> None:
        """Ignores the shard."""

    def slide(self, slide_id: str, text: str) -> None:
        """Ignores the slide."""

    def message(self, text: str) -> None:
        """Ignores the text."""


class PlainReporter:
    """Plain lines, at most one every few seconds a slide, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, float] = {}

    def slides(self, total: int) -> None:
        """Prints the count."""
        self.message(f"{total} slide{'s' * (total != 1)}")

    def shard(self, progress: ShardProgress) -> None:
        """Prints the last shard of a stage, and others now and then."""
        now = time.monotonic()
        last = self._last.get(progress.slide_id, 0.0)
        if progress.done == progress.total or now - last > SECONDS_BETWEEN_LINES:
            self._last[progress.slide_id] = now
            speed = f", {progress.mpx_per_second:.2f} Mpx/s" if progress.mpx_per_second else ""
            self.message(f"{progress.slide_id}: {progress.stage} {progress.done}/{progress.total}{speed}")

    def slide(self, slide_id: str, text: str) -> None:
        """Prints the outcome."""
        self.message(f"{slide_id}: {text}")

    def message(self, text: str) -> None:
        """Prints the text as one line, however long."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class RichReporter:
    """One rich display: a bar for the slides, and one for each slide's present stage."""

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
        self._stages: dict[str, tuple[str, TaskID]] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def slides(self, total: int) -> None:
        """Sets the length of the first bar."""
        self._bars.update(self._all, total=total)

    def shard(self, progress: ShardProgress) -> None:
        """Moves the slide's bar; a new stage takes the bar over."""
        stage, bar = self._stages.get(progress.slide_id, ("", None))
        if bar is None or stage != progress.stage:
            if bar is not None:
                self._bars.remove_task(bar)
            bar = self._bars.add_task("", total=progress.total, speed="")
            self._stages[progress.slide_id] = (progress.stage, bar)
        speed = f"{progress.mpx_per_second:.2f} Mpx/s" if progress.mpx_per_second else ""
        self._bars.update(
            bar,
            description=f"{progress.slide_id[:40]} · {progress.stage}",
            completed=progress.done,
            speed=speed,
        )

    def slide(self, slide_id: str, text: str) -> None:
        """Drops the slide's bar and prints the outcome above the display."""
        if slide_id in self._stages:
            self._bars.remove_task(self._stages.pop(slide_id)[1])
        self._bars.advance(self._all)
        self._bars.console.print(f"{slide_id}: {text}", highlight=False, markup=False)

    def message(self, text: str) -> None:
        """Prints the text above the display."""
        self._bars.console.print(text, highlight=False, markup=False)
