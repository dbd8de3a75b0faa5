"""Types of nuclei, by the sums of their pixels' probabilities.

Sums are of stored integers, so the type of a nucleus is the same for every tiling and orientation.
"""

from typing import NamedTuple

import numpy as np

from wsipipe.geometry import Array
from wsipipe.store.encoding import PROBABILITY_MAX


class TypeMaps(NamedTuple):
    """Stored probabilities of types.

    Attributes:
        maps: (types, H, W) uint8, 0..250; other values in pixels that belong to no nucleus.
        names: Names of the types, in the order of the maps.
    """

    maps: Array
    names: tuple[str, ...]


def type_sums(labels: Array, maps: Array, count: int) -> Array:
    """Return the sums (types, count) int64 of stored probabilities in each nucleus.

    Args:
        labels: Labels (H, W), 1..count, 0 elsewhere.
        maps: Stored probabilities (types, H, W) uint8; values above 250 are no probabilities and count as 0.
        count: Number of labels.
    """
    place = np.flatnonzero(labels)
    label = labels.ravel()[place]
    stored = maps.reshape(len(maps), -1)[:, place]
    stored = np.where(stored > PROBABILITY_MAX, 0, stored)
    # Sums of integers below 2**53 are exact in float64.
    return np.stack([np.bincount(label, each, count + 1)[1:].astype(np.int64) for each in stored])


def types_of(sums: Array, names: tuple[str, ...]) -> tuple[list[str | None], Array]:
    """Return type and probability of each nucleus.

    The type is that of the largest sum, the first in the order of the names among equals; its probability is
    its share of all sums. A nucleus whose sums are all 0 has no type.

    Args:
        sums: Sums (types, n) int64.
        names: Names of the types.

    Returns:
        Names (n,), and probabilities (n,) float64; None and NaN for no type.
    """
    best, total = sums.argmax(0), sums.sum(0)
    known = total > 0
    share = np.where(known, sums.max(0) / np.maximum(total, 1), np.nan)
    found = zip(best.tolist(), known.tolist(), strict=True)
    return [names[place] if some else None for place, some in found], share
