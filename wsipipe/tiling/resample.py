"""Exact integer resampling that commutes with orientations.

Positions are fixed-point integers relative to one centre, weights are integers with the same sum for each
sample, and rounding happens once, at the end. So a mirrored source gives the mirrored result, the order of
the axes does not matter, and any part of the result can be computed alone with the same bits.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from wsipipe.common.pixel_sums import block_means, weighted_sums
from wsipipe.geometry import Array, Region

_WEIGHT_BITS = 11
_POSITION_BITS = 16
_ONE = 1 << _POSITION_BITS

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lattice:
    """A grid of samples over a slide.

    Attributes:
        step: Level-0 px per sample.
        centre: Centre of the scanned bounds, (y, x) in samples; sample i covers [i, i + 1].
    """

    step: float
    centre: tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """Positions of samples in the source along one axis.

    Attributes:
        step: Source px per sample, > 0.
        source_centre: Centre of symmetry in source px; px k covers [k, k + 1].
        centre: Same point in samples; sample i covers [i, i + 1].
    """

    step: float
    source_centre: float
    centre: float

    def centres(self, start: int, stop: int) -> Ints:
        """Return the centres of samples start..stop in fixed-point source px."""
        from_centre = np.arange(start, stop) + 0.5 - self.centre
        moved = np.rint(from_centre * self.step * _ONE).astype(np.int64)
        return moved + round(self.source_centre * _ONE)


@dataclass(frozen=True)
class Taps:
    """Source px and weights of n samples.

    Attributes:
        first: Source index of the first tap, (n,) int64.
        weights: Weights (n, taps) int32; each row sums to ``2**bits``.
        bits: Bits of the weights, 0 to 11; 0 is a plain copy.
    """

    first: Ints
    weights: npt.NDArray[np.int32]
    bits: int

    @cached_property
    def span(self) -> tuple[int, int]:
        """First and past-the-last source px of all samples."""
        return int(self.first.min()), int(self.first.max()) + self.weights.shape[1]

    @cached_property
    def block(self) -> int:
        """Source px per sample of block means; else 0."""
        taps = self.weights.shape[1]
        return taps if taps > 1 and self.stride == taps and (self.weights == 1).all() else 0

    @cached_property
    def stride(self) -> int:
        """Source px from one sample to the next; 0 where these differ."""
        steps = np.diff(self.first)
        stride = int(steps[0]) if len(steps) else 1
        return stride if stride > 0 and (steps == stride).all() else 0


@lru_cache(maxsize=64)
def taps(axis: Axis, start: int, stop: int) -> Taps:
    """Return the taps of samples start..stop.

    Weights are those of areas for step >= 1, bilinear below. For step 1 and an offset of half a px, where an
    odd side meets an even lattice, the area weights (1, 1) / 2 would blur. The cubic (-1, 9, 9, -1) / 16 is
    as symmetric, as exact, and sharper.

    Args:
        axis: Positions of the samples.
        start: First sample.
        stop: Past-the-last sample, > start.
    """
    centres = axis.centres(start, stop)
    if axis.step == 1 and not centres[0] & (_ONE - 1):
        first, weights = _halfway(centres)
    else:
        first, weights = _area(centres, axis.step) if axis.step >= 1 else _bilinear(centres)
    used = int(np.flatnonzero(weights.any(axis=0))[-1]) + 1
    common = int(np.bitwise_or.reduce(weights, axis=None))
    shift = (common & -common).bit_length() - 1
    reduced = (weights[:, :used] >> shift).astype(np.int32)
    if shift == _WEIGHT_BITS:
        # One px per sample; just below step 1 it may be the second of two.
        return Taps(first + reduced.argmax(axis=1), np.ones((len(first), 1), np.int32), 0)
    return Taps(first, reduced, _WEIGHT_BITS - shift)


def resample(source: Array, rows: Taps, columns: Taps) -> Array:
    """Resample an image, rounded once to nearest.

    Args:
        source: Image (H, W, C) uint8 that starts at the first px of ``rows.span`` and ``columns.span``.
        rows: Taps along y.
        columns: Taps along x.

    Returns:
        (rows, columns, C) uint8.
    """
    bits = rows.bits + columns.bits
    negative = rows.weights.min() < 0 or columns.weights.min() < 0
    if bits:
        fast = _compiled(source, rows, columns)
        if fast is not None:
            return fast
    wide = np.dtype(np.int32 if negative or bits > 8 else np.uint16)  # 8 + 11 + 11 bits fit
    summed = _weighted(_weighted(source, rows, 0, wide), columns, 1, wide)
    if bits == 0:
        whole = summed.base is source and summed.shape == source.shape and source.flags.owndata
        return source if whole and source.flags.c_contiguous else np.array(summed, order="C")
    summed += 1 << (bits - 1)
    summed >>= bits
    if negative:
        np.clip(summed, 0, 255, out=summed)
    return summed.astype(np.uint8)


def blocks(region: Region, step: float, limit_px: int) -> Iterator[Region]:
    """Split a region into nearly square blocks of limited size.

    A tile of the slide is decoded once per block that it meets; square blocks keep this number low.

    Args:
        region: Region in samples; an empty region has no blocks.
        step: Source px per sample.
        limit_px: Approximate limit of source px per block.
    """
    side = max(1, int(math.isqrt(limit_px) / max(step, 1.0)))
    height, width = (-(-length // max(1, -(-length // side))) for length in region.shape)
    yield from region.blocks(max(height, 1), max(width, 1))


def _compiled(source: Array, rows: Taps, columns: Taps) -> Array | None:
    """Compute the same samples with compiled code; None where there is none."""
    (y, end_y), (x, end_x) = rows.span, columns.span
    side = rows.block
    if side and side == columns.block:
        return block_means(source[: end_y - y, : end_x - x], side)
    down, across = ((along.first - along.span[0], along.weights) for along in (rows, columns))
    return weighted_sums(source, down, across, rows.bits + columns.bits)


def _area(centres: Ints, step: float) -> tuple[Ints, Ints]:
    """Return weights by overlap of areas.

    They are differences of a rounded running sum that is odd about the centre.
    """
    half = max(round(step * _ONE / 2), 1)
    low, high = centres - half, centres + half
    first = low >> _POSITION_BITS
    count = int((((high - 1) >> _POSITION_BITS) - first).max()) + 1
    edges = (first[:, None] + np.arange(count + 1)) << _POSITION_BITS
    from_centre = np.clip(edges, low[:, None], high[:, None]) - centres[:, None]
    running = np.rint(from_centre * (1 << (_WEIGHT_BITS - 1)) / half).astype(np.int64)
    return first, np.diff(running, axis=1)


def _halfway(centres: Ints) -> tuple[Ints, Ints]:
    """Return cubic weights of the four px around samples on px edges.

    Source: Keys, 1981, with a = -1/2.
    """
    weights = np.array([-1, 9, 9, -1], np.int64) << (_WEIGHT_BITS - 4)
    return (centres >> _POSITION_BITS) - 2, np.broadcast_to(weights, (len(centres), 4))


def _bilinear(centres: Ints) -> tuple[Ints, Ints]:
    """Return the weights of the two px with the nearest centres."""
    from_first = centres - _ONE // 2
    second = np.rint((from_first & (_ONE - 1)) * (1 << _WEIGHT_BITS) / _ONE).astype(np.int64)
    return from_first >> _POSITION_BITS, np.stack([(1 << _WEIGHT_BITS) - second, second], axis=1)


def _weighted(source: Array, along: Taps, axis: int, wide: np.dtype[np.generic]) -> Array:
    """Sum the taps along one axis without dividing by ``2**bits``."""
    if along.bits == 0:
        return _picked(source, along, 0, axis)
    total: Array | None = None
    for tap, weights in enumerate(along.weights.T.astype(wide)):
        part = _picked(source, along, tap, axis)
        flat = part.reshape(len(part), -1)  # one long row of colours is many times faster than rows of 3
        factors = weights[:, None] if axis == 0 else np.repeat(weights, source.shape[2])
        weighted = np.multiply(flat, factors, dtype=wide)
        total = weighted if total is None else np.add(total, weighted, out=total)
    assert total is not None  # noqa: S101 - weights sum to 2**bits, so there is a tap
    return total.reshape(part.shape)


def _picked(source: Array, along: Taps, tap: int, axis: int) -> Array:
    """Take the px of one tap for each sample.

    Evenly spaced samples give a strided view.
    """
    count, start = len(along.first), int(along.first[0]) - along.span[0] + tap
    if along.stride:
        cut = slice(start, start + along.stride * (count - 1) + 1, along.stride)
        return source[cut] if axis == 0 else source[:, cut]
    return np.take(source, along.first - along.span[0] + tap, axis=axis)
