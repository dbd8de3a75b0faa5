"""Progress of a run in a notebook, as HTML that is replaced in its place.

It needs nothing but IPython, which every notebook has; no widgets.
"""

import sys
import time
from collections import deque
from collections.abc import Callable
from html import escape
from threading import Lock

from wsipipe.pipeline.reporting.progress import NullReporter, ProgressReporter, ShardProgress

SECONDS_BETWEEN_UPDATES = 0.5
MOST_LINES = 20


def default_reporter() -> ProgressReporter:
    """Return the reporter of a run that was given none: progress in a notebook, else nothing."""
    return NotebookReporter(_show) if in_notebook() else NullReporter()


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _show(html: str) -> Callable[[str], None]:
    """Display HTML below the cell, and return the function that replaces it."""
    from IPython.display import HTML, display

    handle = display(HTML(html), display_id=True)
    return lambda other: handle.update(HTML(other))


class NotebookReporter:
    """A reporter that shows one bar per running slide, and the last messages.

    Args:
        show: Function that displays HTML and returns the function that replaces it.
    """

    def __init__(self, show: Callable[[str], Callable[[str], None]]) -> None:
        self._total = self._ended = 0
        self._running: dict[str, dict[str, ShardProgress]] = {}
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._lock, self._last = Lock(), 0.0
        self._replace = show(self._html())

    def slides(self, total: int) -> None:
        """Set the number of slides."""
        with self._lock:
            self._total = total
            self._update()

    def shard(self, progress: ShardProgress) -> None:
        """Advance the bar of the slide, at most twice a second."""
        with self._lock:
            self._running.setdefault(progress.slide_id, {})[progress.stage] = progress
            if time.monotonic() - self._last > SECONDS_BETWEEN_UPDATES:
                self._update()

    def slide(self, slide_id: str, text: str) -> None:
        """Replace the bar of the slide by its outcome."""
        with self._lock:
            self._ended += 1
            self._running.pop(slide_id, None)
            self._lines.append(f"{slide_id}: {text}")
            self._update()

    def message(self, text: str) -> None:
        """Show a message."""
        with self._lock:
            self._lines.append(text)
            self._update()

    def _update(self) -> None:
        self._last = time.monotonic()
        self._replace(self._html())

    def _html(self) -> str:
        bars = [_bar("slides", self._ended, self._total)]
        for slide_id, stages in self._running.items():
            done, total = (
                sum(counts) for counts in zip(*((s.done, s.total) for s in stages.values()), strict=True)
            )
            bars.append(_bar(f"{slide_id}: {list(stages)[-1]}", done, total))
        lines = "".join(f"<div>{escape(line)}</div>" for line in self._lines)
        return f"<div>{''.join(bars)}{lines}</div>"


def _bar(text: str, done: int, total: int) -> str:
    return (
        f'<div><progress value="{done}" max="{max(1, total)}"></progress> {done}/{total} {escape(text)}</div>'
    )
