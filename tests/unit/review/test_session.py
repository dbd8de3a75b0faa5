"""Edits do what they should, are undone exactly and survive reopening; published pixels never change."""

import hashlib
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from wsipipe.common.atomic_files import json_bytes
from wsipipe.errors import ConfigError, StorageError
from wsipipe.geometry import Array, Region
from wsipipe.review import Session
from wsipipe.review.sample import SIDE_PX
from wsipipe.store.result import Result

WHOLE = Region(0, 0, SIDE_PX, SIDE_PX)


def differing(session: Session, published: Array) -> Array:
    return session.labels(WHOLE) != published


def reopened(session: Session) -> Session:
    session.close()
    return Session.open(session.published.folder, session.user)


def first_with(session: Session, least_px: int) -> int:
    return next(int(i) for i in session.published.nuclei.ids if session.area_px(int(i)) >= least_px)


def touching_pair(published: Array) -> tuple[int, int]:
    left, right = published[:, :-1], published[:, 1:]
    there = (left != right) & (left > 0) & (right > 0)
    y, x = np.argwhere(there)[0]
    return tuple(sorted((int(left[y, x]), int(right[y, x]))))


def test_accepting_changes_no_pixel(session: Session, published: Array) -> None:
    session.accept([5, 6])
    assert not differing(session, published).any()
    decision = session.decision(5)
    assert decision is not None
    assert (decision.status, decision.user) == ("accepted", "ann")
    assert session.decision(7) is None


def test_rejecting_and_deleting_leave_background(session: Session, published: Array) -> None:
    session.reject([5])
    session.delete([9])
    np.testing.assert_array_equal(differing(session, published), np.isin(published, (5, 9)))
    assert session.decision(5).status == "rejected"
    assert session.area_px(5) == 0
    with pytest.raises(ConfigError, match="no nucleus 5 now"):
        session.accept([5])


def test_a_class_given_by_hand_counts_more_than_the_models(session: Session) -> None:
    before = session.class_of(5)
    session.relabel([5], "mitosis")
    assert session.class_of(5) == "mitosis" != before
    assert "mitosis" in session.class_names
    session.undo()
    assert session.class_of(5) == before


def test_splitting_gives_two_whole_nuclei_of_the_same_pixels(session: Session, published: Array) -> None:
    one = first_with(session, 100)
    session.split(one)
    new = session.next_id - 1
    after = session.labels(WHOLE)
    np.testing.assert_array_equal(np.isin(after, (one, new)), published == one)
    areas = sorted((session.area_px(one), session.area_px(new)))
    assert areas[0] > 0.3 * areas[1]
    assert new > published.max()


def test_splitting_along_a_line_cuts_there(session: Session, published: Array) -> None:
    one = first_with(session, 100)
    y, x = np.argwhere(published == one).mean(axis=0)
    session.split(one, [(y + 0.5, x - 60), (y + 0.5, x + 60)])
    parts = session.labels(WHOLE)
    rows_one, rows_new = (np.argwhere(parts == i)[:, 0] for i in (one, session.next_id - 1))
    assert min(rows_one.max(), rows_new.max()) <= max(rows_one.min(), rows_new.min())
    with pytest.raises(ConfigError, match="right across"):
        session.split(one, [(0, 0), (1, 1)])


def test_merging_needs_touching_nuclei(session: Session, published: Array) -> None:
    pair = touching_pair(published)
    session.merge(pair)
    np.testing.assert_array_equal(session.labels(WHOLE) == pair[0], np.isin(published, pair))
    assert session.decision(pair[1]).status == "rejected"
    with pytest.raises(ConfigError, match="do not touch"):
        session.merge([pair[0], int(published.max())])


def test_drawing_takes_free_pixels_only(session: Session, published: Array) -> None:
    one = session.draw([(100, 100), (130, 100), (130, 130), (100, 130)], "gland")
    square = np.zeros_like(published, bool)
    square[100:130, 100:130] = True
    after = session.labels(WHOLE)
    assert set(np.unique(published[after != published])) == {0}
    assert (after[square] > 0).all()
    assert session.class_of(one) == "gland"


def test_what_erasing_cuts_off_becomes_a_nucleus_of_its_own(session: Session, published: Array) -> None:
    one = first_with(session, 150)
    y, x = np.argwhere(published == one).mean(axis=0)
    session.erase([(y + 0.5, x - 60), (y + 0.5, x + 60)], 1)
    assert session.area_px(one) > 0
    assert session.area_px(session.next_id - 1) > 0
    assert not (session.labels(WHOLE)[int(y + 0.5)] == one).any()


def test_painting_over_a_neighbour_takes_its_pixels(session: Session, published: Array) -> None:
    one, other = touching_pair(published)
    y, x = np.argwhere(published == other).mean(axis=0)
    before = session.area_px(other)
    session.paint(one, [(y, x), tuple(np.argwhere(published == one).mean(axis=0))], 2)
    assert session.area_px(other) < before
    assert other in session.history.touched


def test_tissue_changes_inside_the_polygon_only(session: Session, slide: Result) -> None:
    before = slide.arrays.labels["tissue_class"][0][...]
    session.set_tissue([(0, 0), (256, 0), (256, 128), (0, 128)], "gland")
    inside = np.zeros_like(before, bool)
    inside[:8, :4] = True
    np.testing.assert_array_equal(session.tissue() != before, inside & (before != 1))
    session.brush_tissue([(400, 50)], 40, "gland")
    assert session.tissue()[400 // 32, 50 // 32] == 1
    with pytest.raises(ConfigError, match="no tissue class 'bone'"):
        session.brush_tissue([(400, 50)], 40, "bone")


def test_undo_and_redo_reach_across_sessions(session: Session, published: Array) -> None:
    session.reject([5])
    session.split(first_with(session, 100))
    session.set_tissue([(0, 0), (256, 0), (256, 128)], "gland")
    last, tissue = session.labels(WHOLE), session.tissue()
    again = reopened(session)
    np.testing.assert_array_equal(again.labels(WHOLE), last)
    while again.undo():
        pass
    assert not differing(again, published).any()
    again = reopened(again)
    while again.redo():
        pass
    np.testing.assert_array_equal(again.labels(WHOLE), last)
    np.testing.assert_array_equal(again.tissue(), tissue)
    again.undo()
    again.accept([7])
    assert again.redo() is None
    again.close()


@pytest.mark.parametrize("seed", range(3))
def test_any_edits_leave_areas_boxes_and_undo_in_order(session, published, random_edit, seed) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(60):
        random_edit(session, rng)
    after = session.labels(WHOLE)
    areas = np.bincount(after.ravel(), minlength=session.next_id)
    for identity in range(1, session.next_id):
        if session.published.nuclei.row(identity) is None and not session.history.entries_of(identity):
            continue
        assert session.area_px(identity) == areas[identity]
        if areas[identity]:
            assert (session.labels(session.box(identity)) == identity).sum() == areas[identity]
    again = reopened(session)
    np.testing.assert_array_equal(again.labels(WHOLE), after)
    while again.undo():
        pass
    assert not differing(again, published).any()
    again.close()


def test_a_nucleus_stays_one_piece_whatever_is_done(session: Session, random_edit) -> None:
    from scipy import ndimage

    rng = np.random.default_rng(11)
    for _ in range(60):
        random_edit(session, rng)
    after = session.labels(WHOLE)
    for identity in session.history.touched:
        assert ndimage.label(after == identity)[1] <= 1


def test_a_visit_inside_a_seen_field_is_not_noted_again(session: Session) -> None:
    assert session.visit(Region(0, 0, 200, 200))
    assert session.visit(Region(50, 50, 100, 100)) is None
    assert session.visit(Region(150, 50, 100, 100))


def test_edits_on_nothing_are_refused(session: Session) -> None:
    with pytest.raises(ConfigError, match="none was named"):
        session.accept([])
    with pytest.raises(ConfigError, match="no nucleus 99999"):
        session.reject([99999])
    with pytest.raises(ConfigError, match="three points"):
        session.draw([(1, 1), (2, 2)])
    assert not session.history.done


def test_published_files_are_never_touched(session: Session, slide: Result, random_edit) -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        random_edit(session, rng)
    assert slide.damaged() == []


def test_a_store_without_manifest_opens_for_looking_with_a_warning(slide: Result) -> None:
    (slide.store / "manifest.json").unlink()
    with pytest.warns(UserWarning, match="read-only"):
        session = Session.open(slide.folder, "ann")
    assert session.labels(Region(0, 0, 8, 8)).shape == (8, 8)
    with pytest.raises(StorageError, match="read-only"):
        session.accept([1])
    assert not (slide.folder / "reviews").exists()


def test_a_newer_store_says_which_version_reads_it(slide: Result) -> None:
    manifest = slide.store / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema": 1', '"schema": 2'))
    (slide.folder.parent / "run.json").write_text('{"versions": {"wsipipe": "9.8.7"}}')
    with pytest.raises(StorageError, match=r"wsipipe 9\.8\.7 wrote it"):
        Session.open(slide.folder, "ann")


def test_a_journal_may_lie_elsewhere(slide: Result, tmp_path: Path) -> None:
    elsewhere = tmp_path / "mine"
    with Session.open(slide.folder, "ann", reviews=elsewhere) as session:
        session.accept([1])
    assert not (slide.folder / "reviews").exists()
    with Session.open(slide.folder, "ann", reviews=elsewhere, read_only=True) as session:
        assert session.decision(1).status == "accepted"
        assert not session.writable


def test_a_journal_of_another_result_is_refused(session: Session, slide: Result, tmp_path: Path) -> None:
    session.accept([1])
    session.close()
    other = Path(shutil.copytree(slide.folder, tmp_path / "other"))
    manifest = other / "slide.zarr" / "manifest.json"
    content = json.loads(manifest.read_text().replace("0" * 64, "1" * 64))
    own = {key: value for key, value in content.items() if key != "digest"}
    digest = hashlib.sha256(json_bytes(own)).hexdigest()
    manifest.write_bytes(json_bytes(own | {"digest": digest}))
    for read_only in (False, True):
        with pytest.raises(StorageError, match="another plan"):
            Session.open(other, "ann", read_only=read_only)


@pytest.mark.parametrize("name", ["../ann", "", ".", "a/b"])
def test_a_name_that_is_no_file_name_is_refused(slide: Result, name: str) -> None:
    with warnings.catch_warnings(), pytest.raises(ConfigError, match="letters"):
        Session.open(slide.folder, name or " ")
