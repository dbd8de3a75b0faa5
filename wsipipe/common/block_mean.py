"""Exact means of square blocks of pixels."""

import numpy as np

from wsipipe.common.pixel_sums import block_means
from wsipipe.geometry import Array


def block_mean(image: Array, side_px: int = 2) -> Array:
    """Return the mean of each block of pixels.

    Means are exact and halves are rounded up, so the result commutes with the eight orientations.

    Args:
        image: (H, W, ...) uint8; H and W are multiples of ``side_px``.
        side_px: Side of a block: 2, 4, 8 or 16.

    Returns:
        (H / side_px, W / side_px, ...) uint8.
    """
    means = block_means(image, side_px)
    if means is not None:
        return means
    rows = image[0::side_px].astype(np.uint16)
    for y in range(1, side_px):
        rows += image[y::side_px]
    total = rows[:, 0::side_px] + rows[:, 1::side_px]
    for x in range(2, side_px):
        total += rows[:, x::side_px]
    count = side_px * side_px
    return ((total + count // 2) >> (count.bit_length() - 1)).astype(np.uint8)
