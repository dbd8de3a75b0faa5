"""What happened to one slide of a run, line by line: shown at once, the last lines kept for its failure."""

import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from wsipipe.errors import WsipipeError
from wsipipe.pipeline.cluster.task_pool import quiet
from wsipipe.pipeline.reporting.progress import Step, Teller

LINES = 20


class Diary:
    """The last :data:`LINES` lines about one slide; passes everything on to the teller."""

    def __init__(self, slide_id: str, tell: Teller) -> None:
        self._slide_id, self._tell = slide_id, tell
        self._lines: deque[str] = deque(maxlen=LINES)
        self._last_step = ""

    def say(self, text: str) -> None:
        """Something that a person may want to know."""
        self._write(text)
        self._tell.note(f"{self._slide_id}: {text}")

    def step(self, step: Step) -> None:
        """A shard is done; of many in a row of one stage only the last is kept."""
        text = f"{step.stage} {step.done}/{step.total}"
        if self._last_step == step.stage and self._lines:
            self._lines.pop()
        self._write(text)
        self._last_step = step.stage
        self._tell.shard(step)

    def failed(self, error: Exception) -> None:
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
        self._last_step = ""
        self._lines.append(f"{time.strftime('%H:%M:%S')} {text}")


@dataclass(frozen=True)
class Told:
    """Who hears of a slide's way.

    Attributes:
        step: Called after every shard, in the thread of the slide.
        say: Called with what a person may want to know: what is kept, what is made again and why.
        network: Called with a stage and what its network ran with, after every shard that used one.
    """

    step: Callable[[Step], None] = lambda step: None
    say: Callable[[str], None] = quiet
    network: Callable[[str, str], None] = lambda stage, text: None
