"""Tiled counts are those of whole maps, and scores those of ``wsipipe evaluate``."""

import numpy as np
import pytest

from wsipipe.geometry import Region
from wsipipe.results.compare import tally as module
from wsipipe.results.compare.scores import confusion_of, scores_by_class, scores_of
from wsipipe.results.compare.tally import tally
from wsipipe.training.evaluation.instance_metrics import instance_scores, overlaps


def blobs(seed: int) -> np.ndarray:
    """Labels (90, 70) of squares that may lie over each other, with gaps between the ids."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((90, 70), np.uint32)
    for label in rng.choice(4_000_000_000, 40, replace=False):
        y, x = rng.integers(0, 84), rng.integers(0, 64)
        labels[y : y + rng.integers(3, 12), x : x + rng.integers(3, 12)] = label
    return labels


def reader(labels: np.ndarray) -> module.ReadIds:
    return lambda region: labels[region.slices]


@pytest.mark.parametrize("tile_px", [7, 64, 2048])
@pytest.mark.parametrize("seed", [0, 1])
def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch, tile_px: int, seed: int) -> None:
    monkeypatch.setattr(module, "TILE_PX", tile_px)
    truth = blobs(seed)
    found = np.roll(truth, (1, 2), (0, 1))
    found[found == found.max()] = 0
    counted = tally(reader(truth), reader(found), Region(0, 0, 90, 70))
    # The whole-map count needs small ids.
    small, other = (np.unique(each, return_inverse=True)[1].reshape(each.shape) for each in (truth, found))
    whole = overlaps(small, other)
    for mine, theirs in zip(counted.pairs, whole, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    scores = scores_of(counted.pairs)
    assert {name: scores[name] for name in ("aji", "pq", "f1")} == {
        name: instance_scores(small, other)[name] for name in ("aji", "pq", "f1")
    }
    both = (truth > 0) & (found > 0)
    assert scores["dice"] == 2 * both.sum() / ((truth > 0).sum() + (found > 0).sum())
    y, x = np.nonzero(truth == counted.true.ids[3])
    assert (counted.true.y[3], counted.true.x[3]) == (y.mean() + 0.5, x.mean() + 0.5)


def known() -> tuple[np.ndarray, np.ndarray]:
    """Three true nuclei of 16 px: one found, one half found, one missed; and one that is extra."""
    truth, found = np.zeros((20, 20), int), np.zeros((20, 20), int)
    truth[0:4, 0:4], truth[0:4, 8:12], truth[10:14, 0:4] = 1, 2, 3
    found[0:4, 0:4], found[0:4, 8:10], found[10:14, 12:16] = 5, 6, 7
    return truth, found


def test_known_mistakes_have_known_scores() -> None:
    truth, found = known()
    scores = scores_of(tally(reader(truth), reader(found), Region(0, 0, 20, 20)).pairs)
    counts = {"reference": 3, "result": 3, "matched": 1, "missed": 2, "extra": 2}
    assert {name: scores[name] for name in counts} == counts
    assert scores["dice"] == 2 * 24 / (48 + 40)
    assert scores["precision"] == scores["recall"] == scores["f1"] == scores["pq"] == pytest.approx(1 / 3)
    # AJI: 16 + 8 shared, over 16 + 16 + 16 missed + 16 extra.
    assert scores["aji"] == 24 / 64


def test_classes_count_apart() -> None:
    truth, found = known()
    counted = tally(reader(truth), reader(found), Region(0, 0, 20, 20))
    true_classes, found_classes = {1: "a", 2: "b", 3: "a"}, {5: "b", 6: "b"}
    by_class = scores_by_class(counted, true_classes, found_classes)
    # The nucleus that matches has another class; the half one of class b does not match.
    assert {name: (one["reference"], one["result"], one["matched"]) for name, one in by_class.items()} == {
        "a": (2, 0, 0),
        "b": (1, 2, 0),
    }
    assert confusion_of(counted, true_classes, found_classes) == {"a": {"b": 1}}
    same = scores_by_class(counted, true_classes, {5: "a", 6: "b"})
    assert (same["a"]["matched"], same["a"]["recall"], same["b"]["dice"]) == (1, 0.5, 2 * 8 / 24)
    assert scores_by_class(counted, true_classes, {}) == {}


def test_two_empty_maps_agree() -> None:
    none = np.zeros((20, 20), int)
    counted = tally(reader(none), reader(none), Region(0, 0, 20, 20))
    scores = scores_of(counted.pairs)
    assert (scores["dice"], scores["pq"], scores["recall"], scores["reference"]) == (1, 1, 1, 0)
    truth, _ = known()
    missed = scores_of(tally(reader(truth), reader(none), Region(0, 0, 20, 20)).pairs)
    assert (missed["dice"], missed["pq"], missed["recall"], missed["precision"]) == (0, 0, 0, 0)
