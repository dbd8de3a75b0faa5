"""The log of a run has what was reported, and never disturbs the run."""

import logging
from pathlib import Path

import pytest

from wsipipe.errors import LockedError
from wsipipe.pipeline.reporting.progress import NullReporter, ShardProgress
from wsipipe.pipeline.reporting.run_log import LoggedReporter


class Heard(NullReporter):
    """A reporter that keeps messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def texts(path: Path) -> list[str]:
    """Lines without time and process."""
    return [line.split(" ", 2)[2] for line in path.read_text().splitlines()]


def test_everything_is_passed_on_and_logged(tmp_path: Path) -> None:
    heard = Heard()
    reporter = LoggedReporter(heard)
    reporter.message("early")
    with reporter.log_to(tmp_path / "run.log"):
        reporter.slides(2)
        reporter.shard(ShardProgress("a", "tile", 1, 4, 0.0))
        reporter.slide("a", "done\nin 1 s")
        logging.getLogger("other.library").warning("careful")
        logging.getLogger("other.library").info("chatter")
    reporter.message("late")
    first, *lines = texts(tmp_path / "run.log")
    assert first.startswith("INFO wsipipe ")
    assert lines == ["INFO early", "INFO 2 slides", "INFO a: done in 1 s", "WARNING careful", "INFO end"]
    assert heard.messages == ["early", "late"]


def test_a_second_run_appends_and_an_error_is_the_last_line(tmp_path: Path) -> None:
    path, handlers = tmp_path / "run.log", list(logging.getLogger().handlers)
    for error in (LockedError("in use"), KeyboardInterrupt()):
        with pytest.raises(type(error)), LoggedReporter(NullReporter()).log_to(path):
            raise error
    assert [text for text in texts(path) if "begin" not in text] == [
        "INFO ended: LOCKED: in use",
        "INFO ended: KeyboardInterrupt",
    ]
    assert logging.getLogger().handlers == handlers


def test_shards_and_tracebacks_are_logged_for_debugging(tmp_path: Path) -> None:
    logger = logging.getLogger("wsipipe")
    logger.setLevel(logging.DEBUG)
    try:
        reporter = LoggedReporter(NullReporter())
        with reporter.log_to(tmp_path / "run.log"):
            reporter.shard(ShardProgress("a", "tile", 1, 4, 0.0))
            logging.getLogger("wsipipe.pipeline").debug("b failed", exc_info=ValueError("why"))
    finally:
        logger.setLevel(logging.NOTSET)
    text = (tmp_path / "run.log").read_text()
    assert " DEBUG a: tile 1/4\n" in text
    assert " DEBUG b failed\nValueError: why\n" in text


def test_a_log_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "run.log").mkdir()
    with LoggedReporter(NullReporter()).log_to(tmp_path / "run.log"):
        pass
    with LoggedReporter(NullReporter()).log_to(None):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["run.log"]


def test_a_full_disk_does_not_disturb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    reporter = LoggedReporter(NullReporter())
    with reporter.log_to(tmp_path / "run.log"):
        monkeypatch.setattr("logging.StreamHandler.flush", full)
        reporter.message("lost")
        monkeypatch.undo()
        reporter.message("kept")
    assert "INFO kept" in texts(tmp_path / "run.log")
