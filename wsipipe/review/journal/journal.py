"""Acts in; a file that only grows, one checked JSON line an act, durable before anybody sees the act, out.

The first line says to which slide and plan the journal belongs. Each line's checksum covers the line before
it, so a line that is lost, swapped or edited shows. A power cut can tear the last line only; it is dropped.
"""

import fcntl
import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from wsipipe.common.about import __version__
from wsipipe.common.atomic_files import storage_errors, write_durable
from wsipipe.errors import LockedError, NoResultError, StorageError
from wsipipe.review.journal.edit import Act, Entry, act_from

SCHEMA = 1
SUFFIX = ".journal"
_SUM_DIGITS = 16


@dataclass(frozen=True)
class Header:
    """To what a journal belongs.

    Attributes:
        slide_id: The slide.
        plan: The plan whose labels were looked at.
        user: The reviewer.
        shape: (height, width) of the nuclei's level 0.
        schema: Of the journal.
        wsipipe: Version that began it.
        began: ISO 8601 in UTC.
    """

    slide_id: str
    plan: str
    user: str
    shape: tuple[int, int]
    schema: int = SCHEMA
    wsipipe: str = __version__
    began: str = ""


@dataclass(frozen=True)
class Contents:
    """What a journal file holds.

    Attributes:
        header: Its first line.
        entries: Its acts.
        whole_bytes: Length of the part that is whole.
        torn_bytes: Length of a torn last line.
        last_sum: Checksum of the last whole line.
    """

    header: Header
    entries: tuple[Entry, ...]
    whole_bytes: int
    torn_bytes: int
    last_sum: str


class Journal:
    """A journal open for writing, held by this process alone."""

    def __init__(self, path: Path, contents: Contents, handle: int) -> None:
        self.path = path
        self.header = contents.header
        self.entries = list(contents.entries)
        self._handle = handle
        self._length = contents.whole_bytes
        self._last_sum = contents.last_sum

    @classmethod
    def open(cls, path: Path, header: Header) -> Self:
        """Goes on with the journal at ``path``, or begins it.

        Raises:
            StorageError: It belongs to another slide or plan, is damaged, or cannot be written.
            LockedError: Another process writes it.
        """
        if not path.exists():
            first = asdict(header) | {"began": header.began or now()}
            with _or_elsewhere(path):
                write_durable(path, _line(first, "").encode())
        with _or_elsewhere(path):
            handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            _lock(handle, path)
            contents = read_journal(path)
            check_belongs(contents.header, header, path)
            if contents.torn_bytes:
                warnings.warn(
                    f"{path}: the last line was torn when writing ended; {contents.torn_bytes} bytes were "
                    f"dropped, {len(contents.entries)} acts are whole.",
                    stacklevel=2,
                )
                os.ftruncate(handle, contents.whole_bytes)
                os.fsync(handle)
        except BaseException:
            os.close(handle)
            raise
        return cls(path, contents, handle)

    def append(self, act: Act, user: str | None = None, at: str | None = None) -> Entry:
        """Writes one act durably; when this returns, no crash loses it."""
        return self.append_all([(act, user or self.header.user, at or now())])[0]

    def append_all(self, acts: Iterable[tuple[Act, str, str]]) -> list[Entry]:
        """Writes (act, user, time) of many acts with one wait for the disk, in order."""
        entries: list[Entry] = []
        lines, last = [], self._last_sum
        for act, user, at in acts:
            entry = Entry(number=len(self.entries) + len(entries) + 1, user=user, at=at, act=act)
            line = _line({"n": entry.number, "at": at, "user": user} | act.as_dict(), last)
            last = _sum_of(line)
            entries.append(entry)
            lines.append(line)
        self._write("".join(lines).encode())
        self._last_sum = last
        self.entries += entries
        return entries

    def close(self) -> None:
        """Lets go of the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write(self, data: bytes) -> None:
        try:
            with storage_errors(self.path):
                left = memoryview(data)
                while left:
                    left = left[os.write(self._handle, left) :]
                os.fsync(self._handle)
        except StorageError:
            # What a full disk took of a line goes, so that the journal stays whole.
            os.ftruncate(self._handle, self._length)
            raise
        self._length += len(data)


def read_journal(path: Path) -> Contents:
    """Reads and checks a journal; a torn last line is passed over.

    Raises:
        NoResultError: There is none.
        StorageError: A line inside it is damaged, or a newer wsipipe wrote it.
    """
    with storage_errors(path):
        if not path.is_file():
            raise NoResultError(f"There is no journal {path}; begin one with wsipipe view.")
        data = path.read_bytes()
    lines = data.split(b"\n")
    whole: list[dict[str, Any]] = []
    length, last = 0, ""
    for number, line in enumerate(lines[:-1], start=1):
        stored = _checked(line, last)
        if stored is None:
            # A torn line has no end, or holes where blocks never reached the disk; anything else is damage.
            if number < len(lines) - 1 or b"\0" not in line:
                raise StorageError(
                    f"{path}: line {number} is damaged, and not because writing was cut short. Take the "
                    f"file from a backup, or cut it before line {number} to keep the acts before it."
                )
            break
        whole.append(stored)
        length += len(line) + 1
        last = stored["sum"]
    if not whole:
        raise StorageError(
            f"{path} is no journal of wsipipe: its first line is damaged. Take it from a backup."
        )
    header = _header(whole[0], path)
    entries = tuple(_entry(stored) for stored in whole[1:])
    return Contents(header, entries, length, len(data) - length, last)


def check_belongs(found: Header, wanted: Header, path: Path) -> None:
    """Raises StorageError if a journal is of another slide or plan."""
    for name, what in (("slide_id", "slide"), ("plan", "plan"), ("shape", "canvas")):
        there, here = getattr(found, name), getattr(wanted, name)
        if there != here:
            raise StorageError(
                f"{path} is the journal of another {what}: it says {there}, the result is of {here}. "
                f"Corrections "
                f"only fit the labels they were made on; open the result they belong to (an earlier result "
                f"is "
                f"kept under OUT/.replaced), or name another user."
            )


def now() -> str:
    """The time, ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _header(stored: dict[str, Any], path: Path) -> Header:
    if stored.get("schema", 0) > SCHEMA:
        raise StorageError(
            f"{path} has schema {stored['schema']}, this wsipipe {__version__} reads up to {SCHEMA}; wsipipe "
            f"{stored.get('wsipipe', 'of a later version')} wrote it: install that version or a later one."
        )
    try:
        parts = {name: stored[name] for name in Header.__dataclass_fields__}
    except KeyError as error:
        raise StorageError(f"{path} is no journal of wsipipe: its first line has no {error}.") from error
    return Header(**parts | {"shape": tuple(parts["shape"])})


def _entry(stored: dict[str, Any]) -> Entry:
    return Entry(number=stored["n"], user=stored["user"], at=stored["at"], act=act_from(stored))


def _line(stored: dict[str, Any], last_sum: str) -> str:
    body = _canonical(stored)
    return _canonical(stored | {"sum": _digest(last_sum + body)}) + "\n"


def _sum_of(line: str) -> str:
    return str(json.loads(line)["sum"])


def _checked(line: bytes, last_sum: str) -> dict[str, Any] | None:
    try:
        stored = json.loads(line)
        found = stored.pop("sum")
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return stored | {"sum": found} if found == _digest(last_sum + _canonical(stored)) else None


def _canonical(stored: dict[str, Any]) -> str:
    return json.dumps(stored, sort_keys=True, separators=(",", ":"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SUM_DIGITS]


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(
            f"{path} is being written by another window or process; close it, or review under another user "
            f"name and merge later."
        ) from error


@contextmanager
def _or_elsewhere(path: Path) -> Iterator[None]:
    """Adds to a refusal to write where else a journal can go."""
    try:
        yield
    except LockedError:
        raise
    except OSError as error:
        raise StorageError(
            f"The journal {path} cannot be written ({error}). Name a folder that can be with "
            f"--reviews FOLDER, or Session.open(..., reviews=FOLDER)."
        ) from error
