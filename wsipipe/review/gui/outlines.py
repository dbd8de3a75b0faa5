"""Outlines of nuclei as class numbers, of one thickness on the screen.

napari shows the level whose px are one half to one px of the screen. Levels that are finer than the labels
keep lines thin when one zooms in; lines of more px keep them visible when one zooms out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from wsipipe.geometry import Array, Region
from wsipipe.review.gui.lazy_arrays import LazyArray, Read

RIM_NUMBER = 255
"""Number of the dark rim around outlines."""
FINEST_UM = 0.1
"""Levels are added down to about this resolution."""
_THICKER_UM, _RIM_UM = (0.15, 0.6), 0.6
_MOST_RANGE = 1 << 24
Numbers = Callable[[Array], Array]
"""Function that returns the class numbers (n,) of ids, 0 for hidden classes."""


def finer_factors(mpp: float) -> list[int]:
    """Return the factors of the levels that are finer than labels of ``mpp``."""
    factors: list[int] = []
    while mpp / (2 << len(factors)) >= FINEST_UM:
        factors.append(2 << len(factors))
    return factors[::-1]


def outline_levels(
    shapes: list[tuple[int, int]], reads: list[Read], number_of: Numbers, mpp: float
) -> list[LazyArray]:
    """Return the levels of a layer of outlines, those that are finer than the labels first.

    Args:
        shapes: Shapes of the levels of the labels, finest first.
        reads: Functions that return the labels of a region, which may extend beyond the level.
        number_of: Class numbers of ids.
        mpp: Um per px of the finest level of the labels.
    """
    finer = [
        class_outlines((times * shapes[0][0], times * shapes[0][1]), reads[0], number_of, mpp / times, times)
        for times in finer_factors(mpp)
    ]
    return finer + [
        class_outlines(shape, read, number_of, mpp * 2**level)
        for level, (shape, read) in enumerate(zip(shapes, reads, strict=True))
    ]


def outlines_placed(labels: dict[str, object]) -> dict[str, object]:
    """Return scale and position of a layer of outlines from those of its labels.

    Its first level is finer than that of the labels.
    """
    scale: Any = labels["scale"]
    corner: Any = labels["translate"]
    factor = max(finer_factors(scale[0]), default=1)
    finest = tuple(side / factor for side in scale)
    shifts = ((small - side) / 2 for small, side in zip(finest, scale, strict=True))
    return labels | {
        "scale": finest,
        "translate": tuple(at + by for at, by in zip(corner, shifts, strict=True)),
    }


def class_outlines(
    shape: tuple[int, int], read: Read, number_of: Numbers, um_per_px: float = np.inf, times: int = 1
) -> LazyArray:
    """Return outlines as class numbers, uint8.

    With classes in place of ids, no two ids share a colour by chance.

    Args:
        shape: Shape of the level.
        read: Function that returns the labels of a region, which may extend beyond the level.
        number_of: Class numbers of ids.
        um_per_px: Resolution of the level, on which the thickness of the lines depends.
        times: Px of the level per px of the labels.
    """
    line_px, has_rim = 1 + sum(um_per_px <= limit for limit in _THICKER_UM), um_per_px <= _RIM_UM

    def read_lines(region: Region) -> Array:
        wide = region.grown(line_px)
        covering = wide.scaled(1, times)
        labels = read(covering)
        numbers = class_numbers(labels, number_of)
        inside = wide.relative_to(covering.scaled(times)).slices
        labels, numbers = (_larger(array, times)[inside] for array in (labels, numbers))
        return _drawn(labels, numbers, line_px, has_rim)

    return LazyArray(shape, np.uint8, read_lines)


def class_numbers(labels: Array, number_of: Numbers) -> Array:
    """Return the class number (h, w) uint8 of every px, 0 for background and hidden classes."""
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if high - low > _MOST_RANGE:
        ids, at = np.unique(labels, return_inverse=True)
        return np.where(ids == 0, 0, number_of(ids)).astype(np.uint8)[at].reshape(labels.shape)
    # A table by id takes a tenth of the time of sorting the px.
    is_present = np.zeros(high - low + 1, bool)
    is_present[labels - low] = True
    ids = np.flatnonzero(is_present).astype(labels.dtype) + labels.dtype.type(low)
    table = np.zeros(is_present.size, np.uint8)
    table[is_present] = np.where(ids == 0, 0, number_of(ids))
    return table[labels - low]


def _drawn(labels: Array, numbers: Array, line_px: int, has_rim: bool) -> Array:
    """Return lines inside the edges of nuclei, and a rim of one px around them."""
    inner = numbers[line_px:-line_px, line_px:-line_px]
    found = np.where(_differs(labels, line_px, line_px), inner, np.uint8(0))
    if has_rim:
        found[(inner == 0) & _differs(numbers, line_px, 1)] = RIM_NUMBER
    return found


def _differs(values: Array, margin: int, by: int) -> Array:
    """Return where a value some px up, down, left or right is another one."""
    height, width = (side - 2 * margin for side in values.shape)
    inner = values[margin : margin + height, margin : margin + width]
    found = np.zeros(inner.shape, bool)
    for down, right in ((-by, 0), (by, 0), (0, -by), (0, by)):
        top, left = margin + down, margin + right
        found |= values[top : top + height, left : left + width] != inner
    return found


def _larger(array: Array, times: int) -> Array:
    return array if times == 1 else array.repeat(times, axis=0).repeat(times, axis=1)
