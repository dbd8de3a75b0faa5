"""What is done: one SQLite row for every durable shard, written by the driver alone.

Order is the invariant: data durable, then ledger row (docs/robustness.md, How a slide is written). A row is
only trusted together with its files, their sizes and their digests.
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
from wsipipe.store.arrays import ShardFile

Key = tuple[int, int]
LEDGER = "ledger.sqlite"


@contextmanager
def _database_errors(work: Path) -> Iterator[None]:
    """SQLite's errors of the file system as wsipipe's own."""
    try:
        yield
    except sqlite3.OperationalError as error:
        # Of a full disk SQLite tells as an I/O error too, where its journal or a sync met it.
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL or is_full(work):
            raise StorageFullError(
                f"Writing {work / LEDGER} failed: {error}. Free space there and run the same command again; "
                f"finished shards are kept."
            ) from error
        raise StorageError(
            f"Writing {work / LEDGER} failed: {error}. Mend the disk or the permissions and run the same "
            f"command again."
        ) from error


class Ledger:
    """Done shards of one slide's work directory. Use it from the thread that opened it.

    Raises:
        StorageError: The disk refuses; what the ledger knows is left as it is.
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
                # A damaged ledger knows nothing; shards without a row are made again.
                self._rows.close()
                (work / LEDGER).unlink()
                self._rows = sqlite3.connect(work / LEDGER, isolation_level=None)
                self._open()

    def _open(self) -> None:
        self._rows.execute("PRAGMA synchronous = FULL")
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
        """Adds a row; the files are durable already."""
        fault_point("ledger.before_commit")
        with _database_errors(self._work):
            self._rows.execute(
                "INSERT OR REPLACE INTO shards VALUES (?, ?, ?, ?)",
                (stage, *key, json.dumps([file.as_dict() for file in files])),
            )
        fault_point("ledger.after_commit")

    def files(self, stage: str) -> dict[Key, list[ShardFile]]:
        """Recorded files of a stage by shard, in shard order."""
        rows = self._rows.execute("SELECT y, x, files FROM shards WHERE stage = ? ORDER BY y, x", (stage,))
        return {(y, x): [ShardFile(**file) for file in json.loads(files)] for y, x, files in rows}

    def check(self, stage: str) -> tuple[set[Key], list[str]]:
        """The shards of a stage whose files are all there, byte for byte; and the files that are not."""
        kept: set[Key] = set()
        damaged: list[str] = []
        for key, files in self.files(stage).items():
            wrong = [file.path for file in files if not self._is_whole(file)]
            damaged += wrong
            if not wrong:
                kept.add(key)
        return kept, damaged

    def _is_whole(self, file: ShardFile) -> bool:
        path = self._work / file.path
        return path.is_file() and path.stat().st_size == file.size_bytes and sha256_of(path) == file.sha256
