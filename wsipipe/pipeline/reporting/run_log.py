"""The log file of a run, ``OUT/run.log``, or of a part of a batch."""

import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from wsipipe.common.about import __version__
from wsipipe.errors import WsipipeError
from wsipipe.pipeline.reporting.progress import ProgressReporter, ShardProgress

SUFFIX = ".log"
MOST_BYTES = 10_000_000
"""Size at which a log is renamed to ``NAME.log.1`` and a new one begun."""


class LoggedReporter:
    """A reporter that passes everything on, and writes it to the log of the run.

    Messages that come before the log is open are written when it is opened. Finished shards are written only
    where the level of the logger ``wsipipe`` is ``DEBUG``.

    Args:
        reporter: Receiver of progress and messages.
    """

    def __init__(self, reporter: ProgressReporter) -> None:
        self._reporter = reporter
        self._early: list[str] = []
        # Of its own: what is printed on the terminal is the business of the reporter.
        level = logging.DEBUG if logging.getLogger("wsipipe").isEnabledFor(logging.DEBUG) else logging.INFO
        self._logger = logging.Logger("wsipipe.run", level)

    def slides(self, total: int) -> None:
        """Report and log the number of slides."""
        self._log(f"{total} slide{'s' * (total != 1)}")
        self._reporter.slides(total)

    def shard(self, progress: ShardProgress) -> None:
        """Report a finished shard."""
        self._logger.debug("%s: %s %d/%d", progress.slide_id, progress.stage, progress.done, progress.total)
        self._reporter.shard(progress)

    def slide(self, slide_id: str, text: str) -> None:
        """Report and log the outcome of a slide."""
        self._log(f"{slide_id}: {text}")
        self._reporter.slide(slide_id, text)

    def message(self, text: str) -> None:
        """Report and log a message."""
        self._log(text)
        self._reporter.message(text)

    @contextmanager
    def log_to(self, path: Path | None) -> Iterator[None]:
        """Write the log to a file, together with the warnings of libraries.

        Args:
            path: Path of the log, which no other process writes; None for no log.
        """
        handler = _opened(path) if path else None
        if handler is None:
            yield
            return
        self._logger.addHandler(handler)
        logging.getLogger().addHandler(handler)
        try:
            self._log(f"wsipipe {__version__}, process {os.getpid()} on {platform.node()}: begin")
            for text in self._early:
                self._log(text)
            yield
            self._log("end")
        except BaseException as error:
            self._log(_in_words(error))
            raise
        finally:
            self._logger.removeHandler(handler)
            logging.getLogger().removeHandler(handler)
            handler.close()

    def _log(self, text: str) -> None:
        if not self._logger.handlers:
            self._early.append(text)
            return
        # One line, also where the name of a slide contains a line break.
        self._logger.info("%s", " ".join(text.splitlines()))


class _QuietHandler(RotatingFileHandler):
    """A handler that loses lines where the disk is full, rather than disturb the run."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore the error; what matters is in ``run.json`` too."""


def _opened(path: Path) -> logging.Handler | None:
    """Open a log to append to it; None where it cannot be written."""
    with suppress(OSError):
        handler = _QuietHandler(
            path, maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8", errors="backslashreplace"
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        return handler
    return None


def _in_words(error: BaseException) -> str:
    if isinstance(error, WsipipeError):
        return f"ended: {error.code}: {error}"
    return f"ended: {type(error).__name__}: {error}".removesuffix(": ")
