"""A shard is done only while its files are there, byte for byte."""

import sqlite3
from pathlib import Path

import pytest

from wsipipe.errors import StorageError, StorageFullError
from wsipipe.store import manifest
from wsipipe.store.ledger import LEDGER, Ledger

KEY, OTHER = (0, 1), (2, 0)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for name in ("one", "two", "three"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    with Ledger(tmp_path) as ledger:
        ledger.record("tile", KEY, [manifest.describe(tmp_path, tmp_path / name) for name in ("one", "two")])
        ledger.record("tile", OTHER, [manifest.describe(tmp_path, tmp_path / "three")])
        ledger.record("segment", KEY, [])
    return tmp_path


def test_rows_outlive_the_process_that_wrote_them(work: Path) -> None:
    with Ledger(work) as ledger:
        assert ledger.check("tile") == ({KEY, OTHER}, [])
        assert [file.path for file in ledger.files("tile")[KEY]] == ["one", "two"]
        assert ledger.check("segment") == ({KEY}, [])
        assert ledger.check("classify") == (set(), [])


@pytest.mark.parametrize("harm", ["missing", "truncated", "changed"])
def test_a_harmed_file_makes_its_shard_undone(work: Path, harm: str) -> None:
    path = work / "two"
    data = path.read_bytes()
    path.unlink()
    if harm != "missing":
        path.write_bytes(data[:-1] if harm == "truncated" else b"T" + data[1:])
    with Ledger(work) as ledger:
        assert ledger.check("tile") == ({OTHER}, ["two"])
        assert list(ledger.files("tile")) == [KEY, OTHER]


def test_a_shard_done_again_replaces_its_row(work: Path) -> None:
    with Ledger(work) as ledger:
        ledger.record("tile", KEY, [manifest.describe(work, work / "three")])
        assert [file.path for file in ledger.files("tile")[KEY]] == ["three"]
        assert ledger.check("tile") == ({KEY, OTHER}, [])


def test_a_damaged_ledger_is_begun_anew(work: Path) -> None:
    (work / LEDGER).write_bytes(b"no database at all" * 300)
    with Ledger(work) as ledger:
        assert ledger.check("tile") == (set(), [])
        ledger.record("tile", KEY, [])
        assert ledger.check("tile") == ({KEY}, [])


def test_errors_of_the_disk_are_of_the_storage(work: Path) -> None:
    with Ledger(work) as ledger:
        ledger._rows.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StorageFullError, match="Free space"):
            ledger.record("tile", (9, 9), [manifest.describe(work, work / "one")] * 400)
        ledger._rows.execute("PRAGMA query_only = ON")
        with pytest.raises(StorageError, match="Check the disk"):
            ledger.record("tile", (9, 9), [])


@pytest.mark.parametrize(("full", "kind"), [(True, StorageFullError), (False, StorageError)])
def test_a_disk_that_refuses_at_the_opening_loses_no_row(
    work: Path, monkeypatch: pytest.MonkeyPatch, full: bool, kind: type[StorageError]
) -> None:
    def refused(self: Ledger) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_open", refused)
        patch.setattr("wsipipe.store.ledger.is_full", lambda folder: full)
        with pytest.raises(StorageError) as told:
            Ledger(work)
    assert type(told.value) is kind
    with Ledger(work) as ledger:
        assert ledger.check("tile")[0] == {KEY, OTHER}
