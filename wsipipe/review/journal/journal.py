"""Append edits to a journal durably.

Each edit is on the disk before it is shown.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from wsipipe.common.atomic_files import storage_errors, write_durable
from wsipipe.common.disk_sync import sync_handle
from wsipipe.common.file_lock import try_lock
from wsipipe.errors import LockedError, StorageError
from wsipipe.review.journal.edit import Edit, JournalEntry
from wsipipe.review.journal.journal_file import (
    JournalContents,
    JournalHeader,
    check_belongs,
    entry_line,
    header_line,
    read_journal,
)


class Journal:
    """A journal open for writing, locked by this process."""

    def __init__(self, path: Path, contents: JournalContents, handle: int, opened: ExitStack) -> None:
        self.path = path
        self.header = contents.header
        self.entries = list(contents.entries)
        self._handle, self._opened = handle, opened
        self._length = contents.intact_bytes
        self._last_sum = contents.last_sum

    @classmethod
    def open(cls, path: Path, header: JournalHeader) -> Self:
        """Open the journal at a path, or create it.

        Raises:
            StorageError: It belongs to another slide or plan, is damaged, or cannot be written.
            LockedError: Another process is writing it.
        """
        if not path.exists():
            first = asdict(header) | {"began": header.began or now()}
            with _naming_reviews_option(path):
                write_durable(path, header_line(first).encode())
        with ExitStack() as opened:
            with _naming_reviews_option(path):
                opened.callback(_lock(path))
                # Windows would otherwise write two bytes for the end of a line.
                handle = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0))
            opened.callback(os.close, handle)
            contents = read_journal(path)
            check_belongs(contents.header, header, path)
            if contents.torn_bytes:
                warnings.warn(
                    f"{path}: the last line was torn when writing was interrupted; {contents.torn_bytes} "
                    f"bytes were dropped, {len(contents.entries)} edits are intact.",
                    stacklevel=2,
                )
                os.ftruncate(handle, contents.intact_bytes)
                sync_handle(handle)
            return cls(path, contents, handle, opened.pop_all())

    def append(self, edit: Edit, user: str | None = None, at: str | None = None) -> JournalEntry:
        """Write one edit durably; after the return no crash loses it."""
        return self.append_all([(edit, user or self.header.user, at or now())])[0]

    def append_all(self, edits: Iterable[tuple[Edit, str, str]]) -> list[JournalEntry]:
        """Write many edits with one wait for the disk.

        Args:
            edits: Edit, user and time of each, in order.
        """
        entries: list[JournalEntry] = []
        lines, last = [], self._last_sum
        for edit, user, at in edits:
            number = len(self.entries) + len(entries) + 1
            entry = JournalEntry(number=number, user=user, at=at, edit=edit)
            line, last = entry_line(entry, last)
            entries.append(entry)
            lines.append(line)
        self._write("".join(lines).encode())
        self._last_sum = last
        self.entries += entries
        return entries

    def close(self) -> None:
        """Close and unlock the file."""
        self._opened.close()
        self._handle = -1

    def _write(self, data: bytes) -> None:
        try:
            with storage_errors(self.path):
                left = memoryview(data)
                while left:
                    left = left[os.write(self._handle, left) :]
                sync_handle(self._handle)
        except StorageError:
            # Remove the part of a line that a full disk accepted, so that the journal stays valid.
            os.ftruncate(self._handle, self._length)
            raise
        self._length += len(data)


def now() -> str:
    """Return the time, ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _lock(path: Path) -> Callable[[], None]:
    unlock = try_lock(path)
    if unlock is None:
        raise LockedError(
            f"{path} is being written by another window or process; close it, or review under another user "
            "name and merge later."
        )
    return unlock


@contextmanager
def _naming_reviews_option(path: Path) -> Iterator[None]:
    """Name the option for another folder in errors of writing."""
    try:
        yield
    except LockedError:
        raise
    except OSError as error:
        raise StorageError(
            f"The journal {path} cannot be written ({error}). Name a folder that can be with "
            "--reviews FOLDER, or Session.open(..., reviews=FOLDER)."
        ) from error
