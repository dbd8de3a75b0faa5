"""A reviewed slide shows the edits of a session and cannot edit."""

import numpy as np
import pytest

from wsipipe.errors import NoResultError, StorageError
from wsipipe.geometry import Region
from wsipipe.review import Session
from wsipipe.review.journal.edit import Edit, JournalEntry
from wsipipe.review.journal.history import EditHistory
from wsipipe.review.journal.pixel_diff import diff_between
from wsipipe.review.sample import SIDE_PX
from wsipipe.review.slide import ReviewedSlide
from wsipipe.store.result import Result

WHOLE = Region(0, 0, SIDE_PX, SIDE_PX)


def test_it_shows_the_edits_also_while_a_session_is_open(session: Session, random_edit) -> None:
    rng = np.random.default_rng(4)
    for _ in range(40):
        random_edit(session, rng)
    slide = ReviewedSlide.open(session.published.folder, "ann")
    np.testing.assert_array_equal(slide.labels(WHOLE), session.labels(WHOLE))
    np.testing.assert_array_equal(slide.tissue(), session.tissue())
    assert slide.highest_id == session.highest_id
    assert [slide.class_of(i) for i in range(1, 30)] == [session.class_of(i) for i in range(1, 30)]
    assert slide.folder == session.folder


def test_it_has_no_way_to_edit(slide: Result, session: Session) -> None:
    editing = {name for name in vars(Session) if not name.startswith("_")} - vars(ReviewedSlide).keys()
    assert {"record", "undo", "redo", "next_id", "writable", "accept"} <= editing
    session.accept([1])
    reviewed = ReviewedSlide.open(slide.folder, "ann")
    assert not any(hasattr(reviewed, name) for name in editing)


def test_without_a_journal_there_is_nothing_to_show(slide: Result) -> None:
    with pytest.raises(NoResultError, match="no journal"):
        ReviewedSlide.open(slide.folder, "ann")
    assert not (slide.folder / "reviews").exists()


def test_edits_of_labels_that_the_slide_lacks_are_refused() -> None:
    before = np.zeros((4, 4), np.uint32)
    diff = diff_between("nuclei", Region(0, 0, 4, 4), before, before + 1)
    entry = JournalEntry(number=1, user="ann", at="", edit=Edit(kind="draw", diff=diff))
    with pytest.raises(StorageError, match="does not have"):
        EditHistory({}, [entry])


def test_an_undo_out_of_turn_is_refused() -> None:
    entries = [
        JournalEntry(number=number, user="ann", at="", edit=Edit(kind=kind, of=of))
        for number, kind, of in ((1, "accept", None), (2, "accept", None), (3, "undo", 1))
    ]
    with pytest.raises(StorageError, match="not next"):
        EditHistory({}, entries)
