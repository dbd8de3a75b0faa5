"""Merging takes edits of one reviewer, equal edits of both once, and lists the rest as conflicts."""

import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.review import Session
from wsipipe.review.agreement import agreement, kappa
from wsipipe.review.merge import merge_reviews
from wsipipe.review.sample import SIDE_PX
from wsipipe.store.result import Result

WHOLE = Region(0, 0, SIDE_PX, SIDE_PX)
SQUARE = [(100, 100), (130, 100), (130, 130), (100, 130)]


@pytest.fixture
def pair(slide: Result):
    with Session.open(slide.folder, "ann") as ann, Session.open(slide.folder, "bob") as bob:
        yield ann, bob


def test_separate_edits_are_both_taken_with_their_users(pair, slide: Result, published) -> None:
    ann, bob = pair
    ann.reject([5])
    bob.reject([9])
    bob.relabel([12], "gland")
    bob.set_tissue([(300, 0), (400, 0), (400, 100), (300, 100)], "gland")
    merged = merge_reviews(ann, bob, "both")
    assert (merged.edit_count, merged.conflicts) == (4, ())
    with Session.open(slide.folder, "both") as both:
        np.testing.assert_array_equal(both.labels(WHOLE) != published, np.isin(published, (5, 9)))
        np.testing.assert_array_equal(both.tissue(), bob.tissue())
        assert (both.decision(5).user, both.decision(9).user) == ("ann", "bob")
        assert both.class_of(12) == "gland"


def test_new_nuclei_of_both_keep_apart(pair, slide: Result) -> None:
    ann, bob = pair
    large = [int(i) for i in ann.published.nuclei.ids if ann.area_px(int(i)) > 100]
    ann.split(large[0])
    bob.split(large[-1])
    merged = merge_reviews(ann, bob, "both")
    assert merged.conflicts == ()
    with Session.open(slide.folder, "both") as both:
        ids = np.unique(both.labels(WHOLE))
        assert ids.size == np.unique(ann.labels(WHOLE)).size + 1
        assert both.area_px(ann.next_id - 1) > 0


def test_the_same_judgement_is_no_conflict(pair) -> None:
    ann, bob = pair
    bob.draw([(y + 200, x + 200) for y, x in SQUARE])
    for session in pair:
        session.reject([5])
        session.draw(SQUARE, "gland")
    merged = merge_reviews(ann, bob, "both")
    assert merged.conflicts == ()


def test_different_judgements_are_listed_and_left_as_published(pair, slide: Result, published) -> None:
    ann, bob = pair
    ann.reject([5])
    bob.relabel([5], "mitosis")
    ann.accept([9])
    merged = merge_reviews(ann, bob, "both")
    (conflict,) = merged.conflicts
    assert (conflict.nuclei, conflict.one, conflict.other) == ((5,), ("reject 5",), ("relabel 5 mitosis",))
    with Session.open(slide.folder, "both") as both:
        assert not (both.labels(WHOLE) != published).any()
        assert both.decision(5) is None
        assert both.decision(9).status == "accepted"


@pytest.mark.parametrize(("prefer", "area"), [("ann", False), ("bob", True)])
def test_a_conflict_goes_to_the_preferred_reviewer(pair, slide: Result, prefer: str, area: bool) -> None:
    ann, bob = pair
    ann.reject([5])
    bob.relabel([5], "mitosis")
    merge_reviews(ann, bob, "both", prefer=prefer)
    with Session.open(slide.folder, "both") as both:
        assert (both.area_px(5) > 0) == area


def test_overlapping_drawings_and_tissue_conflict(pair) -> None:
    ann, bob = pair
    ann.draw(SQUARE)
    bob.draw([(y + 5, x + 5) for y, x in SQUARE])
    ann.set_tissue([(300, 0), (400, 0), (400, 100), (300, 100)], "gland")
    bob.set_tissue([(300, 300), (400, 300), (400, 400), (300, 400)], "stroma")
    bob.set_tissue([(320, 300), (400, 300), (400, 400), (320, 400)], "gland")
    assert len(merge_reviews(ann, bob, "both").conflicts) == 1


def test_merging_is_refused_over_a_journal_and_for_a_stranger(pair) -> None:
    ann, bob = pair
    with pytest.raises(ConfigError, match="exists already"):
        merge_reviews(ann, bob, "bob")
    with pytest.raises(ConfigError, match="the reviewers are"):
        merge_reviews(ann, bob, "both", prefer="eve")


def test_agreement_is_by_class_and_of_what_both_saw(pair) -> None:
    ann, bob = pair
    for session in pair:
        session.visit(WHOLE)
    same = agreement(ann, bob)
    assert same["judged"] == ann.published.nuclei.ids.size
    assert same["kappa"] == 1
    assert set(same["tissue_dice_by_class"].values()) == {1.0}
    ann.reject([5])
    rejected = agreement(ann, bob)
    assert rejected["kappa_by_class"]["rejected"] < 0.1
    assert 0.9 < rejected["kappa"] < 1
    bob.set_tissue([(0, 0), (200, 0), (200, 200), (0, 200)], "gland")
    differ = agreement(ann, bob)
    assert differ["kappa"] < rejected["kappa"]
    assert all(value < 1 for value in differ["tissue_dice_by_class"].values())
    assert min(differ["nuclei_dice_by_class"].values()) < 1


def test_kappa_of_a_textbook_table() -> None:
    one = np.array([1] * 25 + [0] * 25)
    other = np.array([1] * 20 + [0] * 5 + [1] * 10 + [0] * 15)
    assert kappa(one, other) == pytest.approx(0.4)
    assert kappa(one[:25], one[:25]) is None
