"""Scores of nuclei (Dice, AJI, PQ) and the plain instance scheme that thresholds are chosen by."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Labels = npt.NDArray[np.int32]
Probability = npt.NDArray[np.float32]
GROWTH_PX = 16
MIN_AREA_PX = 20
CROSS = ndimage.generate_binary_structure(2, 1)


def instances(nucleus: Probability, centre: Probability, nucleus_min: float, centre_min: float) -> Labels:
    """Maps (H, W) in [0, 1] -> instance ids (H, W).

    Seeds are the 4-connected parts of centre >= ``centre_min``; all grow by one pixel at a time inside
    nucleus >= ``nucleus_min``. Instances under 5 um^2 (20 px at 0.5 um/px) are dropped.
    """
    inside = nucleus >= nucleus_min
    labels = ndimage.label(inside & (centre >= centre_min), CROSS)[0].astype(np.int32)
    for _ in range(GROWTH_PX):
        grown = ndimage.maximum_filter(labels, footprint=CROSS)
        labels = np.where((labels == 0) & inside, grown, labels)
    areas = np.bincount(labels.ravel())
    return np.where(areas[labels] >= MIN_AREA_PX, labels, 0)


def overlaps(truth: Labels, found: Labels) -> npt.NDArray[np.int64]:
    """Pixels that true nucleus i + 1 and found nucleus j + 1 share, (true, found)."""
    _, dense_truth = np.unique(truth, return_inverse=True)
    _, dense_found = np.unique(found, return_inverse=True)
    rows, columns = int(dense_truth.max()) + 1, int(dense_found.max()) + 1
    pairs = dense_truth.astype(np.int64).ravel() * columns + dense_found.ravel()
    return np.bincount(pairs, minlength=rows * columns).reshape(rows, columns)


def scores(truth: Labels, found: Labels) -> dict[str, float]:
    """Dice of the foreground, AJI and PQ (matches above half overlap) of one field that has background."""
    table = overlaps(truth, found)
    shared = table[1:, 1:]
    union = table[1:].sum(1)[:, None] + table[:, 1:].sum(0)[None] - shared
    overlap = shared / np.maximum(union, 1)
    return {
        "dice": 2 * float(shared.sum()) / max(int((truth > 0).sum() + (found > 0).sum()), 1),
        "aji": _aji(shared, union, table[1:].sum(1), table[:, 1:].sum(0)),
        "pq": _pq(overlap),
    }


def _aji(shared: np.ndarray, union: np.ndarray, true_areas: np.ndarray, found_areas: np.ndarray) -> float:
    """Aggregated Jaccard index: each true nucleus with its best; missed and left-over ones count."""
    if not shared.size:
        return 0.0
    rows, best = np.arange(len(shared)), (shared / np.maximum(union, 1)).argmax(1)
    hit = shared[rows, best] > 0
    unused = np.setdiff1d(np.arange(shared.shape[1]), best[hit])
    missed = true_areas[~hit].sum() + found_areas[unused].sum()
    return float(shared[rows, best].sum() / (union[rows, best][hit].sum() + missed))


def _pq(overlap: np.ndarray) -> float:
    """Panoptic quality: summed overlap of the matches over the mean number of nuclei."""
    matched = overlap[overlap > 0.5]
    return float(matched.sum() / max(sum(overlap.shape) / 2, 1))


def best_thresholds(
    fields: list[tuple[Labels, Probability, Probability]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Thresholds of the highest mean AJI + PQ over fields of (truth, nucleus, centre), and these scores."""
    tried = []
    for nucleus_min in (0.4, 0.5, 0.6):
        for centre_min in (0.25, 0.3, 0.35, 0.45, 0.55, 0.65):
            each = [scores(truth, instances(n, c, nucleus_min, centre_min)) for truth, n, c in fields]
            mean = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
            tried.append((mean["aji"] + mean["pq"], {"nucleus": nucleus_min, "centre": centre_min}, mean))
    _, thresholds, mean = max(tried, key=lambda entry: entry[0])
    return thresholds, mean
