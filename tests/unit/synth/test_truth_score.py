"""Agreement of label maps: known cases."""

import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.synth.truth_score import score


def _squares(*corners: tuple[int, int], side: int = 10) -> np.ndarray:
    labels = np.zeros((60, 60), np.uint32)
    for i, (y, x) in enumerate(corners):
        labels[y : y + side, x : x + side] = 7 + 3 * i
    return labels


def test_a_map_agrees_wholly_with_itself_under_other_ids() -> None:
    labels = _squares((0, 0), (20, 20), (40, 5))
    result = score(labels, np.where(labels > 0, labels + 100, 0))
    assert result == {"dice": 1, "precision": 1, "recall": 1, "f1": 1, "count_pred": 3, "count_true": 3}


def test_shifted_lost_and_invented_instances_are_counted() -> None:
    found, truth = _squares((0, 0), (20, 23), (40, 40)), _squares((0, 2), (20, 26), (5, 40), (40, 0))
    result = score(found, truth)
    # Shifts of 2 and 3 px of 10 leave an IoU of 80/120 and 70/130: both found.
    assert (result["count_pred"], result["count_true"]) == (3, 4)
    assert result["precision"] == pytest.approx(2 / 3)
    assert result["recall"] == pytest.approx(2 / 4)
    assert result["dice"] == pytest.approx(2 * 150 / 700)


def test_below_half_overlap_is_no_match() -> None:
    assert score(_squares((0, 0)), _squares((0, 4)))["f1"] == 0


def test_empty_maps() -> None:
    empty = _squares()
    assert score(empty, empty)["dice"] == 1
    assert score(empty, _squares((0, 0)))["recall"] == 0


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match="one grid"):
        score(np.zeros((4, 4), int), np.zeros((4, 5), int))
