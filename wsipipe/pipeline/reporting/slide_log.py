"""The log of one slide, and the callbacks that feed it."""

import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wsipipe.errors import WsipipeError
from wsipipe.pipeline.cluster.task_pool import ignore_message
from wsipipe.pipeline.reporting.progress import ProgressReporter, ShardProgress
from wsipipe.pipeline.reporting.run_json import UsageEntry

LINES = 20


class SlideLog:
    """The last :data:`LINES` log lines of one slide.

    Everything is also passed on to the reporter. The lines are kept for the report of a failure.
    """

    def __init__(self, slide_id: str, reporter: ProgressReporter) -> None:
        self._slide_id, self._reporter = slide_id, reporter
        self._lines: deque[str] = deque(maxlen=LINES)
        self._last_of: dict[str, str] = {}

    def message(self, text: str) -> None:
        """Log a message for the user."""
        self._write(text)
        self._reporter.message(f"{self._slide_id}: {text}")

    def shard(self, progress: ShardProgress) -> None:
        """Log a finished shard, in place of the previous one of its stage."""
        with suppress(KeyError, ValueError):
            self._lines.remove(self._last_of[progress.stage])
        self._last_of[progress.stage] = self._write(f"{progress.stage} {progress.done}/{progress.total}")
        self._reporter.shard(progress)

    def error(self, error: Exception) -> None:
        """Log an error; for unexpected errors, include the end of the traceback."""
        if isinstance(error, WsipipeError):
            self._write(f"{error.code}: {error}")
            return
        for line in "".join(traceback.format_exception(error)).splitlines()[-LINES // 2 :]:
            self._write(line)

    def last_lines(self) -> tuple[str, ...]:
        """Return the lines for ``run.json`` and the report."""
        return tuple(self._lines)

    def _write(self, text: str) -> str:
        line = f"{time.strftime('%H:%M:%S')} {text}"
        self._lines.append(line)
        return line


@dataclass(frozen=True)
class RunCallbacks:
    """Callbacks for the progress and messages of one slide.

    Attributes:
        shard: Called after every shard, in the thread of the slide.
        message: Called with messages for the user: what is kept, what is computed again and why.
        network: Called after every shard that used a network, with the stage and how the network ran.
        usage: Called after the last shard with what those of each stage took.
        before_publish: Called with the work directory and the seconds by stage when the result is complete.
    """

    shard: Callable[[ShardProgress], None] = lambda progress: None
    message: Callable[[str], None] = ignore_message
    network: Callable[[str, str], None] = lambda stage, text: None
    usage: Callable[[dict[str, UsageEntry]], None] = lambda usage: None
    before_publish: Callable[[Path, dict[str, float]], None] = lambda work, seconds: None
