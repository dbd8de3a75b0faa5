"""Exact integer resampling that commutes bitwise with the eight orientations.

Positions are fixed-point whole numbers counted from one centre, weights are whole numbers that add
up to the same on every sample, and the one rounding comes at the end. So a mirrored source gives
the mirrored result, the order of the axes does not matter, and any part of the result can be
computed alone with the same bits.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from wsipipe.common.pixel_sums import block_means, weighted_sums
from wsipipe.geometry import Array

_WEIGHT_BITS = 11
_POSITION_BITS = 16
_ONE = 1 << _POSITION_BITS

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """Where the samples of one axis lie in the source.

    Attributes:
        step: Source px per sample, > 0.
        source_centre: The centre of symmetry in source px, pixel k covering [k, k + 1].
        centre: The same point in samples, sample i covering [i, i + 1].
    """

    step: float
    source_centre: float
    centre: float

    def middles(self, start: int, stop: int) -> Ints:
        """Middles of samples start..stop in fixed-point source px."""
        from_centre = np.arange(start, stop) + 0.5 - self.centre
        moved = np.rint(from_centre * self.step * _ONE).astype(np.int64)
        return moved + round(self.source_centre * _ONE)


@dataclass(frozen=True)
class Taps:
    """The source px that each of n samples takes, and their weights.

    Attributes:
        first: (n,) int64, source index of the first tap.
        weights: (n, taps) int32; each row adds up to ``2**bits``.
        bits: 0 to 11; 0 is a plain copy.
    """

    first: Ints
    weights: npt.NDArray[np.int32]
    bits: int

    @cached_property
    def span(self) -> tuple[int, int]:
        """First and past-the-last source px that any sample takes."""
        return int(self.first.min()), int(self.first.max()) + self.weights.shape[1]

    @cached_property
    def block(self) -> int:
        """Source px per sample where each sample is the mean of a block of its own; else 0."""
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
    """Taps of samples start..stop: area weights for step >= 1, bilinear ones below.

    At step 1 and half a px between, where an odd side meets an even lattice, the area weights (1, 1) / 2
    would blur; the cubic (-1, 9, 9, -1) / 16 is as symmetric, as exact, and sharper.

    Args:
        axis: Where the samples lie.
        start: First sample.
        stop: Past the last sample; > start.
    """
    middles = axis.middles(start, stop)
    if axis.step == 1 and not middles[0] & (_ONE - 1):
        first, weights = _halfway(middles)
    else:
        first, weights = _area(middles, axis.step) if axis.step >= 1 else _bilinear(middles)
    used = int(np.flatnonzero(weights.any(axis=0))[-1]) + 1
    common = int(np.bitwise_or.reduce(weights, axis=None))
    shift = (common & -common).bit_length() - 1
    reduced = (weights[:, :used] >> shift).astype(np.int32)
    if shift == _WEIGHT_BITS:
        # One px a sample, and just below step 1 it may be the second of the two.
        return Taps(first + reduced.argmax(axis=1), np.ones((len(first), 1), np.int32), 0)
    return Taps(first, reduced, _WEIGHT_BITS - shift)


def resample(source: Array, rows: Taps, columns: Taps) -> Array:
    """Source (H, W, C) uint8 -> samples (rows, columns, C) uint8, rounded to nearest once.

    Args:
        source: The px from the first of ``rows.span`` and of ``columns.span`` on.
        rows: Taps along y.
        columns: Taps along x.
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


def _compiled(source: Array, rows: Taps, columns: Taps) -> Array | None:
    """The same samples by compiled code; None where there is none."""
    (y, end_y), (x, end_x) = rows.span, columns.span
    side = rows.block
    if side and side == columns.block:
        return block_means(source[: end_y - y, : end_x - x], side)
    down, across = ((along.first - along.span[0], along.weights) for along in (rows, columns))
    return weighted_sums(source, down, across, rows.bits + columns.bits)


def _area(middles: Ints, step: float) -> tuple[Ints, Ints]:
    """Weights by overlap: differences of a rounded running sum that is odd about the middle."""
    half = max(round(step * _ONE / 2), 1)
    low, high = middles - half, middles + half
    first = low >> _POSITION_BITS
    count = int((((high - 1) >> _POSITION_BITS) - first).max()) + 1
    edges = (first[:, None] + np.arange(count + 1)) << _POSITION_BITS
    from_middle = np.clip(edges, low[:, None], high[:, None]) - middles[:, None]
    running = np.rint(from_middle * (1 << (_WEIGHT_BITS - 1)) / half).astype(np.int64)
    return first, np.diff(running, axis=1)


def _halfway(middles: Ints) -> tuple[Ints, Ints]:
    """Cubic weights (Keys, 1981, a = -1/2) of the four px around samples that lie on px edges."""
    weights = np.array([-1, 9, 9, -1], np.int64) << (_WEIGHT_BITS - 4)
    return (middles >> _POSITION_BITS) - 2, np.broadcast_to(weights, (len(middles), 4))


def _bilinear(middles: Ints) -> tuple[Ints, Ints]:
    """Weights of the two px whose middles lie around each sample's."""
    from_first = middles - _ONE // 2
    second = np.rint((from_first & (_ONE - 1)) * (1 << _WEIGHT_BITS) / _ONE).astype(np.int64)
    return from_first >> _POSITION_BITS, np.stack([(1 << _WEIGHT_BITS) - second, second], axis=1)


def _weighted(source: Array, along: Taps, axis: int, wide: np.dtype[np.generic]) -> Array:
    """Sum of the taps along one axis, not yet divided by ``2**bits``."""
    if along.bits == 0:
        return _picked(source, along, 0, axis)
    total: Array | None = None
    for tap, weights in enumerate(along.weights.T.astype(wide)):
        taken = _picked(source, along, tap, axis)
        flat = taken.reshape(len(taken), -1)  # one long row of colours is many times as fast as rows of 3
        factors = weights[:, None] if axis == 0 else np.repeat(weights, source.shape[2])
        part = np.multiply(flat, factors, dtype=wide)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None  # noqa: S101 - weights add up to 2**bits, so there is a tap
    return total.reshape(taken.shape)


def _picked(source: Array, along: Taps, tap: int, axis: int) -> Array:
    """The px that a tap takes for each sample: a strided view where they are evenly spaced."""
    count, start = len(along.first), int(along.first[0]) - along.span[0] + tap
    if along.stride:
        cut = slice(start, start + along.stride * (count - 1) + 1, along.stride)
        return source[cut] if axis == 0 else source[:, cut]
    return np.take(source, along.first - along.span[0] + tap, axis=axis)
