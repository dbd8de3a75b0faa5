"""Compiled means and weighted sums of pixels.

Each function returns None where it cannot be used; callers then compute the same with NumPy, more slowly.
"""

import ctypes
import functools
from pathlib import Path

import numpy as np

from wsipipe.common.compiled import NUMBER, POINTER, load
from wsipipe.geometry import Array

SOURCE = Path(__file__).with_name("pixel_sums.cpp")


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled functions; None without a compiler."""
    found = load(SOURCE)
    if found is None:
        return None
    found.block_means.argtypes = [POINTER, NUMBER, POINTER, *[NUMBER] * 4]
    source, axis = [POINTER, NUMBER, NUMBER, NUMBER], [POINTER, POINTER, NUMBER, NUMBER]
    found.weighted_sums.argtypes = [*source, POINTER, *axis, *axis, NUMBER]
    return found


def block_means(image: Array, side_px: int) -> Array | None:
    """Return means of blocks of pixels, halves rounded up.

    Args:
        image: (H, W, C) or (H, W) uint8; rows may lie apart, pixels of a row may not.
        side_px: Side of a block; H and W are multiples of it.

    Returns:
        (H / side_px, W / side_px, ...) uint8, or None.
    """
    functions = library()
    if functions is None or not _has_dense_rows(image):
        return None
    rows, columns = image.shape[0] // side_px, image.shape[1] // side_px
    means = np.empty((rows, columns, *image.shape[2:]), np.uint8)
    channels = image.shape[2] if image.ndim == 3 else 1
    sizes = (rows, columns, channels, side_px)
    done = functions.block_means(image.ctypes.data, image.strides[0], means.ctypes.data, *sizes)
    return means if done else None


def weighted_sums(
    source: Array, rows: tuple[Array, Array], columns: tuple[Array, Array], bits: int
) -> Array | None:
    """Return weighted sums along both axes.

    Args:
        source: (H, W, C) uint8; rows may lie apart, pixels of a row may not.
        rows: First px (n,) int64 and weights (n, taps) int32 of each sample along y.
        columns: The same along x.
        bits: Sums are divided by ``2**bits``, to nearest; weights and bits fit into 31 bits with a pixel.

    Returns:
        (rows, columns, C) uint8, or None.
    """
    functions = library()
    if functions is None or source.ndim != 3 or not _has_dense_rows(source):
        return None
    axes: list[int] = []
    held = [
        (np.ascontiguousarray(first, np.int64), np.ascontiguousarray(taps, np.int32))
        for first, taps in (rows, columns)
    ]
    for (first, weights), size in zip(held, source.shape, strict=False):
        if first.min() < 0 or int(first.max()) + weights.shape[1] > size:
            return None
        axes += [first.ctypes.data, weights.ctypes.data, *weights.shape]
    sums = np.empty((len(rows[0]), len(columns[0]), source.shape[2]), np.uint8)
    shape = (source.strides[0], source.shape[1], source.shape[2])
    functions.weighted_sums(source.ctypes.data, *shape, sums.ctypes.data, *axes, bits)
    return sums


def _has_dense_rows(image: Array) -> bool:
    dense = (image.shape[2], 1) if image.ndim == 3 else (1,)
    usable = image.dtype == np.uint8 and image.ndim in (2, 3) and image.size > 0
    return usable and image.strides[1:] == dense and image.strides[0] > 0
