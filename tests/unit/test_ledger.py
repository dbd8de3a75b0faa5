"""A shard is done only while its files are there, byte for byte."""

from pathlib import Path

import pytest

from wsipipe import manifest
from wsipipe.ledger import Ledger

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
        assert list(ledger.done("tile")) == [KEY, OTHER]
        assert [file.path for file in ledger.files("tile")[KEY]] == ["one", "two"]
        assert ledger.done("segment") == {KEY: []}
        assert ledger.done("classify") == {}


@pytest.mark.parametrize("harm", ["missing", "truncated", "changed"])
def test_a_harmed_file_makes_its_shard_undone(work: Path, harm: str) -> None:
    path = work / "two"
    data = path.read_bytes()
    path.unlink()
    if harm != "missing":
        path.write_bytes(data[:-1] if harm == "truncated" else b"T" + data[1:])
    with Ledger(work) as ledger:
        assert list(ledger.done("tile")) == [OTHER]
        assert list(ledger.files("tile")) == [KEY, OTHER]


def test_a_shard_done_again_replaces_its_row(work: Path) -> None:
    with Ledger(work) as ledger:
        ledger.record("tile", KEY, [manifest.describe(work, work / "three")])
        assert [file.path for file in ledger.done("tile")[KEY]] == ["three"]
