"""What became of one slide of a run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SlideOutcome:
    """What became of one slide.

    Attributes:
        slide_id: Its folder in OUT.
        path: The slide.
        status: ``done``, ``kept`` (finished before, same plan), ``planned`` (dry run) or ``failed``.
        code: Error code of a failed slide.
        message: Its paragraph: what, where, what to do.
        plan: What was planned, where the slide opened.
        seconds: By stage.
        nuclei: Rows of the table; None without one.
    """

    slide_id: str
    path: Path
    status: str
    code: str = ""
    message: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    nuclei: int | None = None

    def in_words(self) -> str:
        """The outcome as one line."""
        if self.status == "failed":
            return f"FAILED {self.code}: {self.message}"
        if self.status == "planned":
            return f"planned, {sum(self.plan['shards'].values())} shards"
        nuclei = f", {self.nuclei:,} nuclei" if self.nuclei is not None else ""
        if self.status == "kept":
            return f"kept, finished before with the same plan{nuclei}"
        return f"done in {sum(self.seconds.values()):.1f} s{nuclei}"
