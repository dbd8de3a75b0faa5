"""Scores of types of nuclei, over all fields together.

A true and a found nucleus are paired where their centroids are at most 3 µm apart, so that the sum of the
distances is least; then each type is scored among pairs and unpaired nuclei.

Source: Graham et al., HoVer-Net, Medical Image Analysis 58 (2019), section 4.3, with its weights (2, 2, 1, 1)
and 12 px at 0.25 µm/px. As in the authors' ``compute_stats.py``, nuclei that are truly and by the network
of other types do not count for a type, and only unpaired nuclei of the type count as missed or too many.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from wsipipe.stages.nuclei.types import type_sums
from wsipipe.training.samples import Labels

RADIUS_UM = 3.0
Codes = npt.NDArray[np.uint8]


class TypePairs(NamedTuple):
    """Types of the nuclei of fields, 1 for the first; 0 for unknown.

    Attributes:
        true: True types of the pairs (p,).
        found: Types found for the same pairs (p,).
        missed: True types of nuclei that were not found (m,).
        added: Types of found nuclei that are none (a,).
    """

    true: Codes
    found: Codes
    missed: Codes
    added: Codes


def centroids(labels: Labels) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the labels that occur (n,), and their centroids (n, 2), (y, x) in px."""
    place = np.flatnonzero(labels)
    label = labels.ravel()[place]
    areas = np.bincount(label)
    there = np.flatnonzero(areas)
    sums = [np.bincount(label, each)[there] for each in np.divmod(place, labels.shape[1])]
    return there, np.stack(sums, 1) / areas[there, None]


def found_codes(found: Labels, maps: npt.NDArray[np.uint8]) -> Codes:
    """Return the type by found label, as in the nuclei table; 0 where it is unknown.

    Args:
        found: Found labels (H, W), 1..n.
        maps: Stored probabilities (types, H, W) uint8.
    """
    sums = type_sums(found, maps, int(found.max(initial=0)))
    codes = np.where(sums.sum(0) > 0, 1 + sums.argmax(0), 0)
    return np.append(0, codes).astype(np.uint8)


def type_pairs(
    truth: Labels, true_codes: Codes, found: Labels, found_codes: Codes, radius_px: float
) -> TypePairs:
    """Pair the nuclei of one field.

    Args:
        truth: True labels (H, W).
        true_codes: Type by true label.
        found: Found labels (H, W).
        found_codes: Type by found label.
        radius_px: Largest distance of the centroids of a pair.
    """
    true_ids, true_places = centroids(truth)
    found_ids, found_places = centroids(found)
    distance = cdist(true_places, found_places)
    first, second = linear_sum_assignment(distance)
    near = distance[first, second] <= radius_px
    first, second = first[near], second[near]
    own, others = true_codes[true_ids], found_codes[found_ids]
    return TypePairs(own[first], others[second], np.delete(own, first), np.delete(others, second))


def pooled(fields: Sequence[TypePairs]) -> TypePairs:
    """Join the pairs of several fields."""
    return TypePairs(*(np.concatenate(parts) for parts in zip(*fields, strict=True)))


def type_scores(pairs: TypePairs, names: Sequence[str]) -> dict[str, float]:
    """Return ``detection`` and the F1 of each type, in [0, 1].

    ``detection`` is the F1 of finding a nucleus at all. Pairs whose true type is unknown count for
    ``detection`` only. A type that is neither true nor found anywhere is left out.

    Args:
        pairs: Pairs of all fields.
        names: Types, in the order of the codes.
    """
    paired = len(pairs.true)
    every = 2 * paired + len(pairs.missed) + len(pairs.added)
    scores = {"detection": 2 * paired / every if every else 1.0}
    known = pairs.true > 0
    true, found = pairs.true[known], pairs.found[known]
    for code, name in enumerate(names, start=1):
        right = int(((true == code) & (found == code)).sum())
        wrong = int(((true == code) != (found == code)).sum())
        alone = int((pairs.missed == code).sum() + (pairs.added == code).sum())
        if right + wrong + alone:
            scores[name] = 2 * right / (2 * right + 2 * wrong + alone)
    return scores


def as_metrics(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores by the names of a card's metrics, as ``type_f1_epithelial``."""
    return {f"type_f1_{name}": value for name, value in scores.items()}
