"""Ledger of finished shards: one SQLite row per durable shard.

Only the driver writes it. A row is written after its files are durable (docs/robustness.md, How a slide is
written), and is trusted only together with its files, their sizes and their hashes.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from wsipipe.common.atomic_files import is_full, sha256_of
from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import StorageError, StorageFullError
from wsipipe.store.layout import ShardFile

Key = tuple[int, int]
LEDGER = "ledger.sqlite"


@contextmanager
def _database_errors(work: Path) -> Iterator[None]:
    """Raise SQLite's file system errors as errors of wsipipe."""
    try:
        yield
    except sqlite3.OperationalError as error:
        # SQLite reports a full disk as an I/O error if it occurs in its journal or in a sync.
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL or is_full(work):
            raise StorageFullError(
                f"Writing {work / LEDGER} failed: {error}. Free space there and run the same command again; "
                f"finished shards are kept."
            ) from error
        raise StorageError(
            f"Writing {work / LEDGER} failed: {error}. Check the disk and its permissions, then run the same "
            f"command again."
        ) from error


class Ledger:
    """Finished shards of the work directory of one slide.

    Only the thread that opened the ledger may use it.

    Raises:
        StorageError: The ledger cannot be written; its content stays as it is.
    """

    def __init__(self, work: Path) -> None:
        self._work = work
        with _database_errors(work):
            self._rows = sqlite3.connect(work / LEDGER, isolation_level=None)
            try:
                self._open()
            except sqlite3.OperationalError:
                self._rows.close()
                raise
            except sqlite3.DatabaseError:
                # A damaged ledger is deleted; shards without a row are recomputed.
                self._rows.close()
                (work / LEDGER).unlink()
                self._rows = sqlite3.connect(work / LEDGER, isolation_level=None)
                self._open()

    def _open(self) -> None:
        self._rows.execute("PRAGMA synchronous = FULL")
        # On macOS a plain sync does not reach the drive; elsewhere this changes nothing.
        self._rows.execute("PRAGMA fullfsync = ON")
        self._rows.execute(
            "CREATE TABLE IF NOT EXISTS shards (stage TEXT, y INTEGER, x INTEGER, files TEXT, "
            "PRIMARY KEY (stage, y, x))"
        )
        (problem,) = self._rows.execute("PRAGMA quick_check(1)").fetchone()
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def record(self, stage: str, key: Key, files: list[ShardFile]) -> None:
        """Add a row for a shard whose files are durable."""
        fault_point("ledger.before_commit")
        with _database_errors(self._work):
            self._rows.execute(
                "INSERT OR REPLACE INTO shards VALUES (?, ?, ?, ?)",
                (stage, *key, json.dumps([file.as_dict() for file in files])),
            )
        fault_point("ledger.after_commit")

    def files(self, stage: str) -> dict[Key, list[ShardFile]]:
        """Return the recorded files of a stage by shard, in shard order."""
        rows = self._rows.execute("SELECT y, x, files FROM shards WHERE stage = ? ORDER BY y, x", (stage,))
        return {(y, x): [ShardFile(**file) for file in json.loads(files)] for y, x, files in rows}

    def check(self, stage: str) -> tuple[set[Key], list[str]]:
        """Check the files of all finished shards of a stage.

        Returns:
            Shards whose files are intact, and paths of missing or changed files.
        """
        intact: set[Key] = set()
        damaged: list[str] = []
        for key, files in self.files(stage).items():
            wrong = [file.path for file in files if not self._is_intact(file)]
            damaged += wrong
            if not wrong:
                intact.add(key)
        return intact, damaged

    def _is_intact(self, file: ShardFile) -> bool:
        path = self._work / file.path
        return path.is_file() and path.stat().st_size == file.size_bytes and sha256_of(path) == file.sha256
