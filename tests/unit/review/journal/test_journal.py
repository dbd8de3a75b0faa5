"""A journal keeps every edit, names its slide, and detects every damage."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.errors import LockedError, StorageError
from wsipipe.geometry import Region
from wsipipe.review.journal.edit import Edit
from wsipipe.review.journal.journal import Journal
from wsipipe.review.journal.journal_file import JournalHeader, count_edits, read_journal

HEADER = JournalHeader("slide-1", "p" * 64, "ann", (512, 512))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reviews" / "ann.journal"


def filled(path: Path, acts: int = 5) -> Journal:
    journal = Journal.open(path, HEADER)
    for number in range(acts):
        journal.append(Edit(kind="accept", ids=(number + 1,)))
    return journal


def test_edits_come_back_in_order_with_user_and_time(path: Path) -> None:
    filled(path).close()
    journal = Journal.open(path, HEADER)
    journal.append(Edit(kind="comment", value="grüße"))
    journal.close()
    entries = read_journal(path).entries
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert [entry.edit.ids for entry in entries[:5]] == [(1,), (2,), (3,), (4,), (5,)]
    assert entries[-1].edit.value == "grüße"
    assert all(entry.user == "ann" and entry.at.endswith("+00:00") for entry in entries)


def test_edits_in_force_are_counted_without_decoding(path: Path) -> None:
    journal = filled(path)
    journal.append(Edit(kind="visit", region=Region(0, 0, 9, 9)))
    for number in (5, 4):
        journal.append(Edit(kind="undo", of=number))
    journal.append(Edit(kind="redo", of=4))
    # The text of a comment is never taken for a kind.
    journal.append(Edit(kind="comment", value='\n{"act":"accept"'))
    journal.close()
    assert count_edits(path) == 5


@settings(deadline=None, max_examples=40)
@given(cut=st.integers(1, 100))
def test_a_torn_last_line_is_dropped_and_the_rest_stands(tmp_path_factory, cut: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "ann.journal"
    filled(path).close()
    data = path.read_bytes()
    last = len(data) - data[:-1].rindex(b"\n") - 1
    path.write_bytes(data[: -min(cut, last - 1)])
    with pytest.warns(UserWarning, match="torn"):
        journal = Journal.open(path, HEADER)
    assert len(journal.entries) == 4
    journal.append(Edit(kind="accept", ids=(9,)))
    journal.close()
    assert [entry.edit.ids for entry in read_journal(path).entries][-2:] == [(4,), (9,)]


def test_a_whole_line_is_not_called_torn(path: Path) -> None:
    filled(path).close()
    assert read_journal(path).torn_bytes == 0


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_flipped_bit_shows(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("flip") / "ann.journal"
    filled(path).close()
    whole = path.read_bytes()
    end_of_first_four = len(whole) - (len(whole) - whole[:-1].rindex(b"\n")) + 1
    place = data.draw(st.integers(0, end_of_first_four - 1))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    with pytest.raises(StorageError, match=r"damaged|no journal"):
        read_journal(path)


def test_a_lost_or_swapped_line_shows(path: Path) -> None:
    filled(path).close()
    lines = path.read_bytes().splitlines(keepends=True)
    for wrong in ([*lines[:2], *lines[3:]], [*lines[:2], lines[3], lines[2], *lines[4:]]):
        path.write_bytes(b"".join(wrong))
        with pytest.raises(StorageError, match="line 3 is damaged"):
            read_journal(path)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (JournalHeader("slide-2", "p" * 64, "ann", (512, 512)), "slide"),
        (JournalHeader("slide-1", "q" * 64, "ann", (512, 512)), "plan"),
    ],
)
def test_the_journal_of_another_slide_or_plan_is_refused(path: Path, other: JournalHeader, what: str) -> None:
    filled(path).close()
    with pytest.raises(StorageError, match=f"another {what}"):
        Journal.open(path, other)


def test_a_newer_schema_says_which_version_reads_it(path: Path) -> None:
    newer = JournalHeader("slide-1", "p" * 64, "ann", (512, 512), schema=2, wsipipe="9.8.7")
    with pytest.raises(StorageError, match=r"9\.8\.7"):
        Journal.open(path, newer)


def test_a_second_writer_is_locked_out(path: Path) -> None:
    first = filled(path)
    with pytest.raises(LockedError, match="another window"):
        Journal.open(path, HEADER)
    first.close()
    Journal.open(path, HEADER).close()


def test_an_unknown_edit_asks_for_a_newer_wsipipe(path: Path) -> None:
    journal = filled(path, 0)
    journal.append(Edit(kind="teleport"))
    journal.close()
    with pytest.raises(StorageError, match="upgrade wsipipe"):
        read_journal(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="LOUD SKIP: root writes anywhere; NOT tested")
def test_a_folder_that_cannot_be_written_says_where_else(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o500)
    with pytest.raises(StorageError, match="--reviews"):
        Journal.open(path, HEADER)


def test_a_place_that_cannot_be_a_folder_says_where_else(tmp_path: Path) -> None:
    (tmp_path / "reviews").write_text("in the way")
    with pytest.raises(StorageError, match="--reviews"):
        Journal.open(tmp_path / "reviews" / "ann.journal", HEADER)


def test_a_full_disk_leaves_the_journal_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(path, 2)
    real = os.write

    def half(handle: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return real(handle, data[: len(data) // 2])

    monkeypatch.setattr("wsipipe.review.journal.journal.os.write", half)
    with pytest.raises(StorageError, match="No space left"):
        journal.append(Edit(kind="accept", ids=(3,)))
    monkeypatch.undo()
    journal.append(Edit(kind="accept", ids=(4,)))
    journal.close()
    contents = read_journal(path)
    assert contents.torn_bytes == 0
    assert [entry.edit.ids for entry in contents.entries] == [(1,), (2,), (4,)]


def test_every_edit_is_on_the_disk_before_append_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(path, 0)
    seen = []

    def note_size(handle: int) -> None:
        seen.append(os.fstat(handle).st_size)

    monkeypatch.setattr("wsipipe.common.disk_sync.os.fsync", note_size)
    journal.append(Edit(kind="accept", ids=(1,)))
    assert seen == [path.stat().st_size]
    journal.close()
