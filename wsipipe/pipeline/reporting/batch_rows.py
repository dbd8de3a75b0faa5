"""Rows of the page of a batch: slides, failures with their remedies, warnings."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wsipipe.pipeline.reporting.batch_summary import summary_row
from wsipipe.pipeline.reporting.outcome import precisions
from wsipipe.pipeline.reporting.run_json import SlideEntry
from wsipipe.pipeline.reporting.slide_page import page_path, thumbnail_path

_SENTENCES = re.compile(r"\. (?=[A-Z])|; ")
"""Ends of sentences, and of clauses, which begin with a small letter."""


@dataclass(frozen=True)
class SlideRow:
    """A slide in the table of a batch.

    Attributes:
        slide: Entry of ``run.json``.
        codes: Codes of its warnings, each once.
        has_page: Whether the slide has a page of its own.
        has_thumbnail: Whether it has a small picture.
        precision: Precisions of its networks.
        seconds: Time, s; None if it did not run.
        measures: Measures of all tissue as text, by column of ``summary.csv``.
    """

    slide: SlideEntry
    codes: list[str]
    has_page: bool
    has_thumbnail: bool
    precision: str
    seconds: float | None
    measures: dict[str, str]

    def number(self, name: str, decimals: int = 0) -> str:
        """Return a measure as text; empty if there is none."""
        value = self.measures.get(name, "")
        return f"{float(value):,.{decimals}f}" if value else ""


def slide_rows(out: Path, slides: Iterable[SlideEntry]) -> list[SlideRow]:
    """Return a row for each slide.

    Args:
        out: Folder of the results.
        slides: Entries of ``run.json``.
    """
    return [_row(out, slide) for slide in slides]


def _row(out: Path, slide: SlideEntry) -> SlideRow:
    slide_id, seconds = slide["slide_id"], slide["seconds"]
    finished = slide["status"] in ("done", "kept")
    return SlideRow(
        slide,
        list(dict.fromkeys(each["code"] for each in slide.get("warnings", []))),
        finished and os.path.isfile(page_path(out, slide_id)),
        finished and os.path.isfile(thumbnail_path(out, slide_id)),
        ", ".join(precisions(slide["plan"])),
        sum(seconds.values()) if seconds else None,
        summary_row(out, slide),
    )


@dataclass
class Failures:
    """Failed slides with one code and one remedy.

    Attributes:
        code: Error code.
        remedy: What to do.
        slides: Entry and cause of each.
    """

    code: str
    remedy: str
    slides: list[tuple[SlideEntry, str]] = field(default_factory=list)


def failures_of(slides: Iterable[SlideEntry]) -> list[Failures]:
    """Return the failed slides by code and remedy, the most frequent first."""
    found: dict[tuple[str, str], Failures] = {}
    for slide in slides:
        if slide["status"] != "failed":
            continue
        cause, remedy = cause_and_remedy(slide)
        entry = found.setdefault((slide["code"], remedy), Failures(slide["code"], remedy))
        entry.slides.append((slide, cause))
    return sorted(found.values(), key=lambda each: -len(each.slides))


def cause_and_remedy(slide: SlideEntry) -> tuple[str, str]:
    """Split the message of a failed slide: what failed and why, and what to do.

    The slide's path becomes its name in both, so that slides with one remedy can be listed under it.
    """
    path = Path(slide["path"])
    message = slide["message"].replace(slide["path"], path.name)
    parts = _SENTENCES.split(message, maxsplit=1)
    return (parts[0], parts[1]) if len(parts) == 2 else (message, "")


def warnings_of(slides: Iterable[SlideEntry]) -> dict[str, list[tuple[SlideEntry, str]]]:
    """Return entry and message of each warning by code, the most frequent first."""
    found: dict[str, list[tuple[SlideEntry, str]]] = {}
    for slide in slides:
        for warning in slide.get("warnings", []):
            found.setdefault(warning["code"], []).append((slide, warning["message"]))
    return dict(sorted(found.items(), key=lambda each: -len(each[1])))
