"""Format of a journal file.

After a header line, each entry is one JSON line.

The header names the slide and the plan of the journal. The checksum of each line covers the line before it,
so a line that was lost, swapped or edited is detected. A power cut can tear the last line only, which is
dropped.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from wsipipe.common.about import __version__
from wsipipe.common.atomic_files import storage_errors
from wsipipe.errors import NoResultError, StorageError
from wsipipe.review.journal.edit import UNDOABLE, JournalEntry, StoredEdit, edit_from

SCHEMA = 1
SUFFIX = ".journal"
_SUM_DIGITS = 16
_KIND = re.compile(rb'\{"act":"(\w+)"')


@dataclass(frozen=True)
class JournalHeader:
    """Slide, plan and reviewer of a journal.

    Attributes:
        slide_id: The slide.
        plan: Plan of the labels that were reviewed.
        user: The reviewer.
        shape: (height, width) of the nuclei's level 0.
        schema: Schema of the journal.
        wsipipe: Version that created it.
        began: Time of creation, ISO 8601 in UTC.
    """

    slide_id: str
    plan: str
    user: str
    shape: tuple[int, int]
    schema: int = SCHEMA
    wsipipe: str = __version__
    began: str = ""


@dataclass(frozen=True)
class JournalContents:
    """Contents of a journal file.

    Attributes:
        header: The first line.
        entries: The other lines.
        intact_bytes: Length without a torn last line.
        torn_bytes: Length of a torn last line.
        last_sum: Checksum of the last intact line.
    """

    header: JournalHeader
    entries: tuple[JournalEntry, ...]
    intact_bytes: int
    torn_bytes: int
    last_sum: str


def read_journal(path: Path) -> JournalContents:
    """Read and check a journal; ignore a torn last line.

    Raises:
        NoResultError: There is no journal.
        StorageError: A line is damaged, or a newer wsipipe wrote it.
    """
    with storage_errors(path):
        if not path.is_file():
            raise NoResultError(f"There is no journal {path}; begin one with wsipipe view.")
        data = path.read_bytes()
    lines = data.split(b"\n")
    intact: list[dict[str, Any]] = []
    length, last = 0, ""
    for number, line in enumerate(lines[:-1], start=1):
        stored = _checked(line, last)
        if stored is None:
            # A torn line has no end, or zeros where blocks never reached the disk; anything else is damage.
            if number < len(lines) - 1 or b"\0" not in line:
                raise StorageError(
                    f"{path} could not be read: line {number} is damaged, and not because writing was "
                    f"interrupted. Restore the file from a backup, or cut it before line {number} to keep "
                    "the edits before it."
                )
            break
        intact.append(stored)
        length += len(line) + 1
        last = stored["sum"]
    if not intact:
        raise StorageError(
            f"{path} is no journal of wsipipe: its first line is damaged. Restore it from a backup."
        )
    header = _header(intact[0], path)
    entries = tuple(_entry(stored) for stored in intact[1:])
    return JournalContents(header, entries, length, len(data) - length, last)


def count_edits(path: Path) -> int:
    """Return the number of edits in force, without checking the journal.

    A line is not decoded beyond its first word, so a long list of slides appears at once.
    """
    kinds = [found[1].decode() for found in map(_KIND.match, path.read_bytes().split(b"\n")) if found]
    return sum((kind in UNDOABLE) + (kind == "redo") - (kind == "undo") for kind in kinds)


def check_belongs(found: JournalHeader, wanted: JournalHeader, path: Path) -> None:
    """Check that a journal belongs to a slide and plan.

    Raises:
        StorageError: The journal belongs to another slide or plan.
    """
    for name, what in (("slide_id", "slide"), ("plan", "plan"), ("shape", "canvas")):
        there, here = getattr(found, name), getattr(wanted, name)
        if there != here:
            raise StorageError(
                f"{path} is the journal of another {what}: it has {there}, the result has {here}. Edits fit "
                "only the labels that they were made on; open the result that the journal belongs to (an "
                "earlier result is kept under OUT/.replaced), or name another user."
            )


def header_line(stored: Mapping[str, object]) -> str:
    """Return the first line of a journal."""
    return _line(stored, "")[0]


def entry_line(entry: JournalEntry, last_sum: str) -> tuple[str, str]:
    """Return the line of an entry, and its checksum.

    Args:
        entry: The entry.
        last_sum: Checksum of the line before.
    """
    about = {"n": entry.number, "at": entry.at, "user": entry.user}
    return _line({**about, **entry.edit.as_dict()}, last_sum)


def _header(stored: dict[str, Any], path: Path) -> JournalHeader:
    if stored.get("schema", 0) > SCHEMA:
        raise StorageError(
            f"{path} could not be read: it has schema {stored['schema']}, this wsipipe {__version__} reads "
            f"up to {SCHEMA}. wsipipe {stored.get('wsipipe', 'of a later version')} wrote it; install that "
            "version or a later one."
        )
    try:
        parts = {name: stored[name] for name in JournalHeader.__dataclass_fields__}
    except KeyError as error:
        raise StorageError(
            f"{path} is no journal of wsipipe: its first line has no {error}. Restore it from a backup."
        ) from error
    return JournalHeader(**parts | {"shape": tuple(parts["shape"])})


def _entry(stored: dict[str, Any]) -> JournalEntry:
    edit = edit_from(cast(StoredEdit, stored))
    return JournalEntry(number=stored["n"], user=stored["user"], at=stored["at"], edit=edit)


def _line(stored: Mapping[str, object], last_sum: str) -> tuple[str, str]:
    checksum = _digest(last_sum + _canonical(stored))
    return _canonical({**stored, "sum": checksum}) + "\n", checksum


def _checked(line: bytes, last_sum: str) -> dict[str, Any] | None:
    """Return a decoded line; None if it is damaged."""
    try:
        stored = json.loads(line)
        found = stored.pop("sum")
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return stored | {"sum": found} if found == _digest(last_sum + _canonical(stored)) else None


def _canonical(stored: Mapping[str, object]) -> str:
    return json.dumps(stored, sort_keys=True, separators=(",", ":"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SUM_DIGITS]
