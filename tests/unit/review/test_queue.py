"""Queues have the right items in the right order, the same for the same seed."""

import shutil

import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.review import Session
from wsipipe.review.queue import queue_kinds
from wsipipe.store.result import Result


def test_uncertain_nuclei_come_by_probability(session: Session) -> None:
    items = session.queue("uncertain", 20)
    found = [float(item.why.split("p ")[1].split(",")[0]) for item in items]
    assert found == sorted(found)
    lowest = np.argsort(session.published.nuclei.probability, kind="stable")[:20]
    assert [item.identity for item in items] == session.published.nuclei.ids[lowest].tolist()


def test_seams_are_nuclei_at_shard_borders(session: Session) -> None:
    items = session.queue("seams", 100)
    assert items
    for item in items:
        rows, columns = (item.region.y, item.region.end_y), (item.region.x, item.region.end_x)
        assert any(start - 1 < 256 <= end for start, end in (rows, columns))


def test_a_class_and_a_random_sample(session: Session) -> None:
    items = session.queue("class: gland", 500)
    assert {session.class_of(item.identity) for item in items} == {"gland"}
    assert session.queue("random", 30, seed=1) == session.queue("random", 30, seed=1)
    assert session.queue("random", 30, seed=1) != session.queue("random", 30, seed=2)


def test_uncertain_tissue_begins_where_classes_are_even(session: Session) -> None:
    first = session.queue("uncertain tissue", 5)[0]
    stored = session.published.result.arrays.probabilities["tissue_class"][...].astype(int)
    cell = stored[:, first.region.y // 32, first.region.x // 32]
    assert cell.max() == stored.max(0)[stored.max(0) <= 250].min()


def test_every_offered_queue_can_be_made_and_others_are_refused(session: Session) -> None:
    kinds = queue_kinds(session.published)
    assert {"uncertain", "seams", "random", "uncertain tissue", "class: gland"} <= set(kinds)
    for kind in kinds:
        assert len(session.queue(kind, 3)) <= 3
    with pytest.raises(ConfigError, match="no queue 'orientation'"):
        session.queue("orientation")


def test_orientation_disagreement_is_a_queue_where_a_run_stored_it(slide: Result) -> None:
    stored = slide.store / "probabilities"
    shutil.copytree(stored / "nucleus", stored / "disagreement")
    with Session.open(slide.folder, "ann") as session:
        items = session.queue("orientation", 3)
    means = slide.arrays.probabilities["nucleus"][...].reshape(2, 256, 2, 256).mean((1, 3))
    assert [(item.region.y, item.region.x) for item in items] == [
        tuple(256 * at for at in np.unravel_index(place, (2, 2)))
        for place in np.argsort(-means, axis=None)[:3]
    ]
