"""Scores of pixels and classes: those of scikit-learn; intervals that cover and respect groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from wsipipe.errors import ConfigError
from wsipipe.training.evaluation.metrics import (
    auc,
    auc_of_stored,
    bootstrap,
    calibration_error,
    calibration_error_of_stored,
    class_scores,
    confusion,
    mean_and_interval,
    pixel_scores,
)

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_pixel_scores_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = rng.random((2, 30, 31)) < rng.uniform(0.05, 0.95, (2, 1, 1))
    scores = pixel_scores(truth, found)
    assert scores["dice"] == pytest.approx(reference.f1_score(truth.ravel(), found.ravel()))
    assert scores["iou"] == pytest.approx(reference.jaccard_score(truth.ravel(), found.ravel()))


def test_nothing_there_and_nothing_found_is_right() -> None:
    empty = np.zeros((3, 3), bool)
    assert pixel_scores(empty, empty) == {"dice": 1, "iou": 1}
    assert pixel_scores(empty, ~empty) == {"dice": 0, "iou": 0}


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_auc_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(400) < 0.3
    truth[:2] = True, False
    stored = rng.integers(0, 251, 400).astype(np.uint8) // 4
    expected = reference.roc_auc_score(truth, stored)
    assert auc(truth, stored) == pytest.approx(expected)
    assert auc_of_stored(truth, stored) == pytest.approx(expected)


def slow_calibration_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Bin by bin: |mean probability - share of positives|, weighted by the samples in the bin."""
    edges, total = np.arange(16) / 15, 0.0
    for i in range(15):
        inside = (probabilities >= edges[i]) & ((probabilities < edges[i + 1]) | (i == 14))
        if inside.any():
            total += inside.mean() * abs(probabilities[inside].mean() - truth[inside].mean())
    return total


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_the_calibration_error_is_that_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 251, 300).astype(np.uint8)
    truth = rng.random(300) < stored / 300
    expected = slow_calibration_error(stored / 250, truth)
    assert calibration_error_of_stored(truth, stored) == pytest.approx(expected)
    assert calibration_error(stored / 250, truth.astype(float), np.ones(300)) == pytest.approx(expected)


def test_the_calibration_error_of_known_forecasts() -> None:
    always = np.full(10, 250, np.uint8)
    assert calibration_error_of_stored(np.ones(10, bool), always) == 0
    assert calibration_error_of_stored(np.zeros(10, bool), always) == 1
    assert calibration_error_of_stored(np.arange(10) < 5, always // 2) == 0
    assert np.isnan(calibration_error_of_stored(np.ones(0, bool), always[:0]))


def test_auc_of_one_side_is_not_a_number() -> None:
    stored = np.arange(4, dtype=np.uint8)
    for truth in (np.zeros(4, bool), np.ones(4, bool)):
        assert np.isnan(auc(truth, stored))
        assert np.isnan(auc_of_stored(truth, stored))


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_class_scores_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(4), rng.integers(0, 4, 60)])
    probabilities = rng.dirichlet(np.ones(4), 64) + np.eye(4)[truth] * 0.3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = probabilities.argmax(axis=1)
    scores = class_scores(truth, probabilities)
    assert scores["accuracy"] == pytest.approx(reference.accuracy_score(truth, found))
    assert scores["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(truth, found))
    assert scores["auc"] == pytest.approx(reference.roc_auc_score(truth, probabilities, multi_class="ovr"))
    assert (confusion(truth, found, 4) == reference.confusion_matrix(truth, found)).all()


def test_a_class_without_tiles_is_left_out() -> None:
    scores = class_scores(np.array([0, 0, 2]), np.eye(3)[[0, 2, 2]])
    assert scores["balanced_accuracy"] == pytest.approx(0.75)
    assert np.isnan(class_scores(np.array([1, 1]), np.eye(3)[[1, 1]])["auc"])


def test_no_tiles_are_refused() -> None:
    with pytest.raises(ConfigError, match="0 true classes"):
        class_scores(np.zeros(0, int), np.zeros((0, 3)))


def test_intervals_shrink_with_samples_and_widen_with_groups() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(0.7, 0.1, 200)

    def width(count: int, per_group: int) -> float:
        rows = [{"dice": value} for value in values[:count]]
        groups = [str(index // per_group) for index in range(count)]
        low, high = mean_and_interval(rows, groups)[1]["dice"]
        return high - low

    assert 2.5 < width(20, 1) / width(200, 1) < 4
    # Copies of one field are no new evidence: the interval stays that of the groups.
    copies = [{"dice": value} for value in values[:20] for _ in range(10)]
    groups = [str(index) for index in range(20) for _ in range(10)]
    low, high = mean_and_interval(copies, groups)[1]["dice"]
    assert high - low == pytest.approx(width(20, 1))


def test_the_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(9)
    covered = 0
    for _ in range(100):
        rows = [{"x": value} for value in rng.normal(size=40)]
        low, high = mean_and_interval(rows, [str(i) for i in range(40)], times=200)[1]["x"]
        covered += low <= 0 <= high
    assert 86 <= covered <= 100


def test_draws_are_repeatable_and_one_group_gives_no_interval() -> None:
    rows = [{"x": value} for value in (0.1, 0.7, 1.9, 4.2, 9.3)]
    names = list("abcde")
    assert mean_and_interval(rows, names) == mean_and_interval(rows, names)
    assert mean_and_interval(rows, names, times=50, seed=1)[1] != mean_and_interval(rows, names)[1]
    assert bootstrap(["a", "a"], lambda chosen: {"x": 1.0}) == {}


def test_a_score_that_some_fields_lack_is_the_mean_of_the_others() -> None:
    rows = [{"dice": 0.5, "aji": 0.4}, {"dice": 0.7}, {"dice": 0.6, "aji": float("nan")}]
    mean, intervals = mean_and_interval(rows, list("abc"))
    assert mean == pytest.approx({"dice": 0.6, "aji": 0.4})
    assert set(intervals) == {"dice"}  # one field alone says nothing of the spread of AJI
