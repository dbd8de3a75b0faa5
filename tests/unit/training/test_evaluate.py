"""Scores: 1 for the truth, known values for known mistakes."""

import numpy as np
import pytest

from wsipipe.training.evaluate import best_thresholds, instances, scores
from wsipipe.training.targets import centre_map


def squares() -> np.ndarray:
    """Four squares of 8 px, two of which touch."""
    labels = np.zeros((40, 40), np.int32)
    for label, (y, x) in enumerate([(2, 2), (2, 10), (20, 4), (28, 28)], start=1):
        labels[y : y + 8, x : x + 8] = label
    return labels


def test_the_truth_scores_one_under_any_names() -> None:
    renamed = np.where(squares() > 0, 50 - 7 * squares(), 0).astype(np.int32)
    assert scores(squares(), renamed) == {"dice": 1, "aji": 1, "pq": 1}


def test_merged_nuclei_keep_dice_and_lose_the_rest() -> None:
    merged = np.where(squares() == 2, 1, squares()).astype(np.int32)
    found = scores(squares(), merged)
    assert found["dice"] == 1
    # Two of four match (overlap 1), the merged one reaches half at best: PQ = 2 / ((4 + 3) / 2).
    assert found["pq"] == pytest.approx(2 / 3.5)
    assert found["aji"] == pytest.approx((64 + 64 + 64 + 64) / (64 + 64 + 128 + 128))


def test_missed_and_invented_nuclei_lower_every_score() -> None:
    found = squares().copy()
    found[found == 4] = 0
    found[34:38, 2:12] = 9
    result = scores(squares(), found)
    assert result["pq"] == pytest.approx(3 / 4)
    assert result["aji"] == pytest.approx(192 / (256 + 40))
    assert result["dice"] == pytest.approx(2 * 192 / (256 + 232))


def test_nothing_found_scores_zero() -> None:
    assert scores(squares(), np.zeros_like(squares())) == {"dice": 0, "aji": 0, "pq": 0}


def test_instances_part_touching_nuclei_and_drop_specks() -> None:
    nucleus = (squares() > 0).astype(np.float32)
    nucleus[15, 30:33] = 1
    centre = np.maximum(centre_map(squares()), nucleus * (squares() == 0))
    found = instances(nucleus, centre, 0.5, 0.6)
    assert len(np.unique(found)) - 1 == 4
    assert scores(squares(), found)["pq"] == 1


def test_thresholds_that_suit_the_maps_are_chosen() -> None:
    nucleus = (squares() > 0).astype(np.float32) * 0.55
    thresholds, mean = best_thresholds([(squares(), nucleus, centre_map(squares()))])
    assert thresholds["nucleus"] < 0.6
    assert mean["pq"] == 1
