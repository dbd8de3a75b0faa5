"""Scores of matched nuclei: AJI, PQ and its parts, F1."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ConfigError

Labels = npt.NDArray[np.integer]
Ints = npt.NDArray[np.int64]
MATCH_IOU = 0.5
"""IoU above which a true nucleus has at most one match, and a found one as well."""


class Overlaps(NamedTuple):
    """Pairs of true and found nuclei that share pixels.

    Attributes:
        true_areas: (t,) px of each true nucleus.
        found_areas: (f,) px of each found nucleus.
        true: (k,) index of the pair's true nucleus, ascending.
        found: (k,) index of the pair's found nucleus.
        shared: (k,) shared px.
    """

    true_areas: Ints
    found_areas: Ints
    true: Ints
    found: Ints
    shared: Ints

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """(k,) shared px over the px of the union, in ]0, 1]."""
        return self.shared / (self.true_areas[self.true] + self.found_areas[self.found] - self.shared)


def overlaps(truth: Labels, found: Labels) -> Overlaps:
    """Return the pairs of nuclei that overlap in two label maps.

    Args:
        truth: True labels (H, W); 0 is background, gaps between numbers are allowed.
        found: Found labels, likewise.

    Raises:
        ConfigError: The maps differ in shape.
    """
    if truth.shape != found.shape:
        raise ConfigError(
            f"Label maps differ in size: {truth.shape} and {found.shape} px. Give maps on one grid."
        )
    true_areas, dense_true = _dense(truth)
    found_areas, dense_found = _dense(found)
    both = (truth > 0) & (found > 0)
    pairs = dense_true[truth[both]] * max(len(found_areas), 1) + dense_found[found[both]]
    names, shared = np.unique(pairs, return_counts=True)
    true, partner = np.divmod(names, max(len(found_areas), 1))
    return Overlaps(true_areas, found_areas, true, partner, shared)


def instance_scores(truth: Labels, found: Labels) -> dict[str, float]:
    """Return ``aji``, ``dice2``, ``pq``, ``dq``, ``sq`` and ``f1`` of label maps (H, W).

    Each is in [0, 1]. ``dq`` is the F1 of detection at IoU > 0.5, so both names have one value. A field
    without nuclei in which none are found has 1 for all.
    """
    return scores_of_pairs(overlaps(truth, found))


def scores_of_pairs(pairs: Overlaps) -> dict[str, float]:
    """Return the scores of :func:`instance_scores` of counted pairs."""
    if not len(pairs.true_areas) + len(pairs.found_areas):
        return dict.fromkeys(("aji", "dice2", "pq", "dq", "sq", "f1"), 1.0)
    matched = pairs.iou[pairs.iou > MATCH_IOU]
    dq = 2 * len(matched) / (len(pairs.true_areas) + len(pairs.found_areas))
    sq = math.fsum(matched) / len(matched) if len(matched) else 0.0
    whole = {"aji": aggregated_jaccard(pairs), "dice2": ensemble_dice(pairs)}
    return whole | {"pq": dq * sq, "dq": dq, "sq": sq, "f1": dq}


def ensemble_dice(pairs: Overlaps) -> float:
    """Return the ensemble Dice (DICE2), in [0, 1].

    It is twice the shared px of all pairs that overlap over the areas of both, so a nucleus in several pairs
    counts in each; nuclei without a partner do not count. It is 0 where none overlap.

    Source: Vu et al., Frontiers in Bioengineering and Biotechnology 7 (2019), section 2.2.
    """
    areas = pairs.true_areas[pairs.true] + pairs.found_areas[pairs.found]
    return float(2 * pairs.shared.sum() / areas.sum()) if len(areas) else 0.0


def aggregated_jaccard(pairs: Overlaps) -> float:
    """Return the aggregated Jaccard index, in [0, 1].

    Each true nucleus is matched with the found one of highest IoU, which several may share; unmatched nuclei,
    true or found, add to the union. Among equal IoU the larger overlap counts. Where n found ones are equal
    in both, the definition leaves the choice open: each counts as matched with a probability of 1/n, so the
    numbering does not matter.

    Source: Kumar et al., IEEE TMI 36 (2017), algorithm 1.
    """
    union = pairs.true_areas[pairs.true] + pairs.found_areas[pairs.found] - pairs.shared
    order = np.lexsort((pairs.shared, pairs.iou, pairs.true))
    last = np.append(np.diff(pairs.true[order]) > 0, True)[: len(order)]
    best = order[last]
    unmet = np.delete(pairs.true_areas, pairs.true[best]).sum()
    rank = np.zeros(len(pairs.true_areas), np.int64)
    rank[pairs.true[best]] = best
    best_pair = rank[pairs.true]
    tied = (pairs.iou == pairs.iou[best_pair]) & (pairs.shared == pairs.shared[best_pair])
    among = np.bincount(pairs.true[tied], minlength=len(pairs.true_areas))
    free = np.ones(len(pairs.found_areas))
    np.multiply.at(free, pairs.found[tied], 1 - 1 / among[pairs.true[tied]])
    unused = (pairs.found_areas * free).sum()
    whole = union[best].sum() + unmet + unused
    return float(pairs.shared[best].sum() / whole) if whole else 1.0


def _dense(labels: Labels) -> tuple[Ints, Ints]:
    """Return the areas of the labels that occur, and their index by label."""
    counts = np.bincount(labels.ravel(), minlength=1)
    counts[0] = 0
    return counts[counts > 0], np.cumsum(counts > 0) - 1
