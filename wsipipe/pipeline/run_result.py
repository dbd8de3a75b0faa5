"""The result of a run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wsipipe.common.html_tables import rows_table
from wsipipe.errors import ExitCode, LockedError, StorageError, StorageFullError
from wsipipe.pipeline.reporting.outcome import SlideOutcome

if TYPE_CHECKING:
    from wsipipe.pipeline.planning.plan import Plan
    from wsipipe.store.result import Result

_RETRY_CODES = {LockedError.code, StorageError.code, StorageFullError.code}


@dataclass(frozen=True)
class RunResult:
    """Outcome of a run.

    Attributes:
        out: Folder of the results.
        slides: One outcome per slide, in the order given.
        exit_code: Exit code of the command.
        plans: Plans of the slides that a dry run could open; empty otherwise.
    """

    out: Path
    slides: tuple[SlideOutcome, ...]
    exit_code: ExitCode
    plans: "tuple[Plan, ...]" = field(default=(), repr=False)

    def __repr__(self) -> str:
        counts = Counter(slide.status for slide in self.slides)
        found = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no slides"
        return f"RunResult({str(self.out)!r}, {found}, exit code {int(self.exit_code)})"

    def _repr_html_(self) -> str:
        """Show the outcome of every slide in a notebook."""
        rows = [(slide.slide_id, slide.in_words()) for slide in self.slides]
        return rows_table(f"Run in {self.out}", ("slide", "outcome"), rows)

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
