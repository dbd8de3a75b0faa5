"""What is done: one SQLite row for every durable shard, written by the driver alone.

Order is the invariant: data durable, then ledger row (store.md, The commit protocol). A row is only trusted
together with its files, their sizes and their digests.
"""

import json
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from wsipipe.durable import sha256_of
from wsipipe.store import ShardFile

Key = tuple[int, int]


class Ledger:
    """Done shards of one slide's work directory. Use it from the thread that opened it."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._rows = sqlite3.connect(work / "ledger.sqlite", isolation_level=None)
        self._rows.execute("PRAGMA synchronous = FULL")
        self._rows.execute(
            "CREATE TABLE IF NOT EXISTS shards (stage TEXT, y INTEGER, x INTEGER, files TEXT, "
            "PRIMARY KEY (stage, y, x))"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def record(self, stage: str, key: Key, files: list[ShardFile]) -> None:
        """Adds a row; the files are durable already."""
        self._rows.execute(
            "INSERT OR REPLACE INTO shards VALUES (?, ?, ?, ?)",
            (stage, *key, json.dumps([file.as_dict() for file in files])),
        )

    def files(self, stage: str) -> dict[Key, list[ShardFile]]:
        """Recorded files of a stage by shard, in shard order."""
        rows = self._rows.execute("SELECT y, x, files FROM shards WHERE stage = ? ORDER BY y, x", (stage,))
        return {(y, x): [ShardFile(**file) for file in json.loads(files)] for y, x, files in rows}

    def done(self, stage: str) -> dict[Key, list[ShardFile]]:
        """The shards of a stage whose files are all there, byte for byte."""
        return {key: files for key, files in self.files(stage).items() if all(map(self._is_whole, files))}

    def _is_whole(self, file: ShardFile) -> bool:
        path = self._work / file.path
        return path.is_file() and path.stat().st_size == file.size_bytes and sha256_of(path) == file.sha256
