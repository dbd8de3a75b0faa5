"""Scores of pixels and classes, with bootstrap intervals over groups."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ConfigError
from wsipipe.store.encoding import PROBABILITY_MAX

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
RESAMPLES = 1000
CALIBRATION_BINS = 15
SURE = 0.95


def pixel_scores(truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Return ``dice`` and ``iou`` of two masks, in [0, 1].

    Both are 1 where both masks are empty.
    """
    shared, total = int((truth & found).sum()), int(truth.sum() + found.sum())
    if not total:
        return {"dice": 1.0, "iou": 1.0}
    return {"dice": 2 * shared / total, "iou": shared / (total - shared)}


def auc(truth: npt.NDArray[np.bool_], scores: Array) -> float:
    """Return the area under the ROC curve.

    It is the probability that a positive has a higher score than a negative; ties count half. It is NaN if
    there are no positives or no negatives.

    Args:
        truth: Mask of any shape.
        scores: Scores of the same shape.
    """
    true, false = scores[truth], scores[~truth]
    if not true.size or not false.size:
        return float("nan")
    values = np.union1d(true, false)
    ups = np.bincount(np.searchsorted(values, true), minlength=values.size).astype(float)
    downs = np.bincount(np.searchsorted(values, false), minlength=values.size).astype(float)
    below = np.cumsum(downs) - downs
    return float(ups @ (below + downs / 2) / (true.size * false.size))


def auc_of_stored(truth: npt.NDArray[np.bool_], stored: npt.NDArray[np.uint8]) -> float:
    """Return :func:`auc` of stored probabilities (uint8).

    It counts the 256 values, so maps need not be sorted.
    """
    counts = np.bincount(stored.ravel(), minlength=256)
    ups = np.bincount(stored[truth], minlength=256).astype(float)
    downs = counts - ups
    if not ups.any() or not downs.any():
        return float("nan")
    return float(ups @ (np.cumsum(downs) - downs / 2) / (ups.sum() * downs.sum()))


def calibration_error(probabilities: Floats, outcomes: Floats, counts: Floats) -> float:
    """Return the expected calibration error, in [0, 1].

    It is the mean distance between the probability and the share of outcomes, over ``CALIBRATION_BINS`` bins
    of equal width, weighted by the samples in each. It is NaN without samples.

    Args:
        probabilities: (N,) in [0, 1].
        outcomes: (N,) number of samples with that probability for which it came true.
        counts: (N,) number of samples with that probability.

    Source: Guo et al., ICML 2017, equation 3.
    """
    total = counts.sum()
    if not total:
        return float("nan")
    bins = np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, probabilities * counts - outcomes, CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / total)


def calibration_error_of_stored(truth: npt.NDArray[np.bool_], stored: npt.NDArray[np.uint8]) -> float:
    """Return :func:`calibration_error` of stored probabilities (uint8)."""
    counts = np.bincount(stored.ravel(), minlength=PROBABILITY_MAX + 1).astype(float)
    outcomes = np.bincount(stored[truth], minlength=PROBABILITY_MAX + 1).astype(float)
    return calibration_error(np.arange(PROBABILITY_MAX + 1) / PROBABILITY_MAX, outcomes, counts)


def confusion(truth: Ints, found: Ints, classes: int) -> npt.NDArray[np.int64]:
    """Return the confusion matrix (classes, classes) of class indices (N,).

    Rows are true classes, columns found ones.
    """
    flat = np.bincount(truth.astype(np.int64) * classes + found, minlength=classes**2)
    return flat.reshape(classes, classes)


def class_scores(truth: Ints, probabilities: Floats) -> dict[str, float]:
    """Return ``accuracy``, ``balanced_accuracy``, ``auc`` and ``ece`` of classes.

    Balanced accuracy is the mean recall, and AUC the mean of one class against the rest, over the classes
    that occur; ECE is the calibration error of the probability of the class that is found. Among equal
    probabilities the first class is found, as in the pipeline.

    Args:
        truth: Class indices (N,).
        probabilities: (N, classes).

    Raises:
        ConfigError: There is nothing to score, or the lengths differ.
    """
    if not len(truth) or len(truth) != len(probabilities):
        raise ConfigError(
            f"{len(truth)} true classes do not match {len(probabilities)} predictions. Give one prediction "
            "per tile, and at least one tile."
        )
    right = probabilities.argmax(axis=1) == truth
    present = np.unique(truth)
    aucs = [auc(truth == label, probabilities[:, label]) for label in present] if len(present) > 1 else []
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([right[truth == label].mean() for label in present])),
        "auc": float(np.mean(aucs)) if aucs else float("nan"),
        "ece": calibration_error(probabilities.max(axis=1), right.astype(float), np.ones(len(right))),
    }


def bootstrap(
    groups: Sequence[str],
    statistic: Callable[[npt.NDArray[np.int64]], dict[str, float]],
    *,
    times: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return central 95 % intervals by resampling whole groups.

    Args:
        groups: Group of each sample; a group (patient, organ) is drawn whole or not at all.
        statistic: Function of sample indices, which may repeat, that returns numbers by name.
        times: Number of draws.
        seed: Seed of the draws.

    Returns:
        (low, high) by name; NaN numbers of a draw are left out. With one group there is nothing to draw from,
        and the result is empty.
    """
    names = np.asarray(groups)
    members = [np.flatnonzero(names == name) for name in np.unique(names)]
    if len(members) < 2:
        return {}
    rng = np.random.default_rng(seed)
    draws = [
        statistic(np.concatenate([members[pick] for pick in rng.integers(0, len(members), len(members))]))
        for _ in range(times)
    ]
    return {name: _central([draw[name] for draw in draws]) for name in draws[0]}


def mean_and_interval(
    rows: Sequence[dict[str, float]], groups: Sequence[str], *, times: int = RESAMPLES, seed: int = 0
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Return mean scores of fields and their :func:`bootstrap` intervals.

    A score that is missing or NaN for a field is left out of its mean; a score with fewer than two groups has
    no interval.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = np.array([[row.get(name, np.nan) for name in names] for row in rows])

    def means(chosen: npt.NDArray[np.int64]) -> dict[str, float]:
        part = table[chosen]
        known = ~np.isnan(part)
        total, count = np.where(known, part, 0).sum(axis=0), known.sum(axis=0)
        values = np.divide(total, count, out=np.full(len(names), np.nan), where=count > 0)
        return dict(zip(names, values.tolist(), strict=True))

    intervals = bootstrap(groups, means, times=times, seed=seed)
    of = np.asarray(groups)
    sure = [name for name, column in zip(names, table.T, strict=True) if len(set(of[~np.isnan(column)])) > 1]
    return means(np.arange(len(rows))), {name: intervals[name] for name in sure}


def _central(values: Sequence[float]) -> tuple[float, float]:
    known = np.array([value for value in values if not np.isnan(value)])
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - SURE) / 2, (1 + SURE) / 2])
    return float(low), float(high)
