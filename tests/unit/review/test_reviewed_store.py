"""Reviewed labels equal those of the session; only touched shards are written; crashes are repaired."""

import json
from pathlib import Path

import numpy as np
import pytest

from wsipipe.geometry import Array, Region
from wsipipe.review import Session, reviewed_store
from wsipipe.review.reviewed_store import reviewed_levels, write_reviewed_labels
from wsipipe.review.sample import SIDE_PX
from wsipipe.stages.pyramid import mode_of_four
from wsipipe.store.result import Result

WHOLE = Region(0, 0, SIDE_PX, SIDE_PX)


def check(session: Session) -> None:
    nuclei, tissue = reviewed_levels(session, "nuclei"), reviewed_levels(session, "tissue_class")
    np.testing.assert_array_equal(nuclei[0][...], session.labels(WHOLE))
    np.testing.assert_array_equal(nuclei[1][...], mode_of_four(session.labels(WHOLE)))
    np.testing.assert_array_equal(tissue[0][...], session.tissue())
    np.testing.assert_array_equal(tissue[1][...], mode_of_four(session.tissue()))


def inodes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("c/*/*")}


def test_derived_labels_follow_edits_undo_and_redo(session: Session, slide: Result, random_edit) -> None:
    rng = np.random.default_rng(2)
    for _ in range(6):
        for _ in range(6):
            random_edit(session, rng)
        write_reviewed_labels(session)
        check(session)
    while session.undo():
        pass
    write_reviewed_labels(session)
    np.testing.assert_array_equal(
        reviewed_levels(session, "nuclei")[0][...], slide.arrays.labels["nuclei"][0][...]
    )
    assert slide.damaged() == []


def test_only_touched_shards_and_parents_are_written(session: Session, published: Array) -> None:
    write_reviewed_labels(session)
    before = inodes(session.folder)
    inner = next(
        int(i)
        for i in session.published.nuclei.ids
        if session.box(int(i)).end_y < 250 and session.box(int(i)).end_x < 250
    )
    session.reject([inner])
    written = {str(path.relative_to(session.folder)) for path in write_reviewed_labels(session)}
    after = inodes(session.folder)
    assert {path for path in after if after[path] != before[path]} == written
    assert written == {f"reviewed.zarr/labels/nuclei_reviewed/{level}/c/0/0" for level in (0, 1)}
    assert write_reviewed_labels(session) == []


def test_untouched_shards_take_no_space(session: Session) -> None:
    session.accept([1])
    write_reviewed_labels(session)
    assert all(path.stat().st_nlink > 1 for path in session.folder.rglob("c/*/*"))


def test_another_edit_in_the_same_place_is_not_taken_for_the_first(session: Session) -> None:
    session.reject([5])
    write_reviewed_labels(session)
    session.undo()
    session.split(5)
    write_reviewed_labels(session)
    check(session)


@pytest.mark.parametrize("stop_after", range(5))
def test_a_crash_while_deriving_is_made_good(session: Session, monkeypatch, stop_after: int) -> None:
    session.reject([5])
    write_reviewed_labels(session)
    session.undo()
    session.reject([6])
    count = 0

    def dying(*args: object) -> Path:
        nonlocal count
        count += 1
        if count > stop_after:
            raise KeyboardInterrupt
        return real(*args)

    real = reviewed_store._durable
    monkeypatch.setattr(reviewed_store, "_durable", dying)
    try:
        write_reviewed_labels(session)
    except KeyboardInterrupt:
        session.undo()
        session.redo()
        session.undo()
        session.redo()
    monkeypatch.undo()
    session.undo()
    session.undo()
    write_reviewed_labels(session)
    check(session)


def test_a_journal_begun_anew_is_not_mistaken_for_the_old_one(slide: Result) -> None:
    with Session.open(slide.folder, "ann") as session:
        session.reject([5])
        write_reviewed_labels(session)
    (slide.folder / "reviews" / "ann.journal").unlink()
    with Session.open(slide.folder, "ann") as session:
        session.reject([6])
        write_reviewed_labels(session)
        check(session)


def test_links_become_copies_where_disks_differ(session: Session, slide: Result, monkeypatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    session.reject([5])
    write_reviewed_labels(session)
    check(session)
    assert slide.damaged() == []


def test_derived_labels_say_whose_they_are(session: Session) -> None:
    write_reviewed_labels(session)
    root = json.loads((session.folder / "reviewed.zarr" / "zarr.json").read_text())
    assert root["attributes"]["wsipipe_review"]["user"] == "ann"
    labels = json.loads((session.folder / "reviewed.zarr" / "labels" / "zarr.json").read_text())
    assert labels["attributes"]["ome"]["labels"] == ["nuclei_reviewed", "tissue_class_reviewed"]
