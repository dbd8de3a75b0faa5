"""What happened to one slide of a run, line by line: shown at once, the last lines kept for its failure."""

import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from wsipipe.errors import WsipipeError
from wsipipe.pipeline.cluster.task_pool import ignore_message
from wsipipe.pipeline.reporting.progress import ProgressReporter, ShardProgress

LINES = 20


class SlideLog:
    """The last :data:`LINES` lines about one slide; passes everything on to the reporter."""

    def __init__(self, slide_id: str, reporter: ProgressReporter) -> None:
        self._slide_id, self._reporter = slide_id, reporter
        self._lines: deque[str] = deque(maxlen=LINES)
        self._last_stage = ""

    def message(self, text: str) -> None:
        """Something that a person may want to know."""
        self._write(text)
        self._reporter.message(f"{self._slide_id}: {text}")

    def shard(self, progress: ShardProgress) -> None:
        """A shard is done; of many in a row of one stage only the last is kept."""
        text = f"{progress.stage} {progress.done}/{progress.total}"
        if self._last_stage == progress.stage and self._lines:
            self._lines.pop()
        self._write(text)
        self._last_stage = progress.stage
        self._reporter.shard(progress)

    def error(self, error: Exception) -> None:
        """The error; of one that nobody foresaw, where in the code it came from."""
        if isinstance(error, WsipipeError):
            self._write(f"{error.code}: {error}")
            return
        for line in "".join(traceback.format_exception(error)).splitlines()[-LINES // 2 :]:
            self._write(line)

    def last_lines(self) -> tuple[str, ...]:
        """For ``run.json`` and the report."""
        return tuple(self._lines)

    def _write(self, text: str) -> None:
        self._last_stage = ""
        self._lines.append(f"{time.strftime('%H:%M:%S')} {text}")


@dataclass(frozen=True)
class RunCallbacks:
    """Who hears of a slide's way.

    Attributes:
        step: Called after every shard, in the thread of the slide.
        say: Called with what a person may want to know: what is kept, what is made again and why.
        network: Called with a stage and what its network ran with, after every shard that used one.
    """

    shard: Callable[[ShardProgress], None] = lambda progress: None
    message: Callable[[str], None] = ignore_message
    network: Callable[[str, str], None] = lambda stage, text: None
