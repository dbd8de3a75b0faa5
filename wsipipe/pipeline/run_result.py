"""The result of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wsipipe.errors import ExitCode, LockedError, StorageError, StorageFullError
from wsipipe.pipeline.reporting.outcome import SlideOutcome

if TYPE_CHECKING:
    from wsipipe.store.result import Result

_RETRY_CODES = {LockedError.code, StorageError.code, StorageFullError.code}


@dataclass(frozen=True)
class RunResult:
    """Outcome of a run.

    Attributes:
        out: Folder of the results.
        slides: One outcome per slide, in the order given.
        exit_code: Exit code of the command.
    """

    out: Path
    slides: tuple[SlideOutcome, ...]
    exit_code: ExitCode

    def results(self) -> "list[Result]":
        """Open the finished slides."""
        # zarr is loaded only by those who read results.
        from wsipipe.store.result import open_result

        return [
            open_result(self.out / slide.slide_id)
            for slide in self.slides
            if slide.status in {"done", "kept"}
        ]


def exit_code(outcomes: Sequence[SlideOutcome]) -> ExitCode:
    """Return the exit code for the outcomes of all slides."""
    if any(outcome.status == "skipped" for outcome in outcomes):
        return ExitCode.FAILED
    codes = {outcome.code for outcome in outcomes if outcome.status == "failed"}
    if not codes:
        return ExitCode.OK
    return ExitCode.RETRY_LATER if codes <= _RETRY_CODES else ExitCode.SOME_SLIDES_FAILED
