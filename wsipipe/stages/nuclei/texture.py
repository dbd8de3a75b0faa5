"""Texture of the grey levels in each nucleus, without a direction.

A co-occurrence matrix counts pairs of neighbouring pixels of a nucleus: beside, below and on both diagonals,
each pair in both orders. The set of pairs is the same in all eight orientations, and every sum is a whole
number, so values are equal to the last bit however the slide was turned, and for every tiling.

Source: Haralick, Shanmugam and Dinstein, IEEE Transactions on Systems, Man, and Cybernetics 3 (1973), for
contrast, inverse difference moment (homogeneity), correlation and entropy.
"""

from typing import NamedTuple

import numpy as np

from wsipipe.geometry import Array
from wsipipe.stages.nuclei.compiled_outlines import TEXTURE_BINS as BINS
from wsipipe.stages.nuclei.compiled_outlines import TEXTURE_SUMS, texture_sums

UNIT = 1 << 16
HOMOGENEITY = np.rint(UNIT / (1 + np.arange(256.0) ** 2)).astype(np.int64)
"""1 / (1 + difference^2) of two grey levels, in 1 / 65,536."""
_PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Half of the eight neighbours; the other half are the same pairs in the other order."""


class Texture(NamedTuple):
    """Texture of each nucleus, (n,) float64; NaN where it has none.

    Attributes:
        deviation: Standard deviation of the grey levels, 0 to 128.
        entropy: Entropy of the grey levels in 16 bins, 0 to 4 bit.
        contrast: Mean squared difference of neighbouring pixels.
        homogeneity: Mean of 1 / (1 + squared difference), in (0, 1].
        correlation: Correlation of neighbouring pixels, -1 to 1; NaN where all are equal.
    """

    deviation: Array
    entropy: Array
    contrast: Array
    homogeneity: Array
    correlation: Array


def textures(labels: Array, image: Array, count: int) -> Texture:
    """Measure the texture of each label.

    Args:
        labels: Labels (H, W) int32, 1..count all present.
        image: RGB (H, W, 3) uint8; grey is (red + 2 green + blue) / 4, rounded down.
        count: Number of labels.
    """
    found = texture_sums(labels, image, count, HOMOGENEITY)
    sums = _texture_sums(labels, image, count) if found is None else found
    area, grey, square, pairs, contrast, alike, both, squares, product = sums[:TEXTURE_SUMS]
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = 2 * pairs * squares - both**2
        return Texture(
            deviation=np.sqrt(area * square - grey**2) / area,
            entropy=_entropy(sums[TEXTURE_SUMS:], area),
            contrast=contrast / pairs,
            homogeneity=alike / pairs / UNIT,
            correlation=(4 * pairs * product - both**2) / spread,
        )


def _entropy(histogram: Array, area: Array) -> Array:
    """Return the entropy in bit.

    Terms are rounded to whole numbers, so that their sum has no order.

    Args:
        histogram: Pixels by bin, (16, n) int64.
        area: Pixels, (n,) int64.
    """
    terms, whole = (
        np.rint(each * np.log2(np.maximum(each, 1)) * UNIT).astype(np.int64) for each in (histogram, area)
    )
    return np.maximum(whole - terms.sum(axis=0), 0) / area / UNIT


def _texture_sums(labels: Array, image: Array, count: int) -> Array:
    """Return the sums of :func:`texture_sums` without compiled code."""
    red, green, blue = np.moveaxis(image.astype(np.int64), 2, 0)
    grey = (red + 2 * green + blue) >> 2
    place = np.flatnonzero(labels)
    label, level = labels.ravel()[place], grey.ravel()[place]
    sums = [_sum(label, each, count) for each in (np.ones_like(level), level, level**2)]
    first, one, two = (np.concatenate(each) for each in zip(*_neighbours(labels, grey), strict=True))
    pairs = [np.ones_like(one), (one - two) ** 2, HOMOGENEITY[np.abs(one - two)]]
    pairs += [one + two, one**2 + two**2, one * two]
    sums += [_sum(first, each, count) for each in pairs]
    bins = np.bincount(label * BINS + level * BINS // 256, minlength=(count + 1) * BINS)
    return np.concatenate([np.stack(sums), bins.reshape(-1, BINS)[1:].T.astype(np.int64)])


def _neighbours(labels: Array, grey: Array) -> list[tuple[Array, Array, Array]]:
    """Return the label and both grey levels of each pair, by direction."""
    height, width = labels.shape
    found = []
    for down, right in _PAIRS:
        here = np.s_[: height - down, max(-right, 0) : width - max(right, 0)]
        there = np.s_[down:, max(right, 0) : width - max(-right, 0)]
        same = (labels[here] == labels[there]) & (labels[here] > 0)
        found.append((labels[here][same], grey[here][same], grey[there][same]))
    return found


def _sum(label: Array, values: Array, count: int) -> Array:
    # Sums of integers below 2**53 are exact in float64.
    return np.bincount(label, values, count + 1)[1:].astype(np.int64)
