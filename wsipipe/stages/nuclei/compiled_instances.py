"""Compiled seeds, growth and lookups of labels.

Each function returns None where it cannot be used; callers then compute the same with NumPy, more slowly.
"""

import ctypes
import functools
from pathlib import Path

import numpy as np

from wsipipe.common.compiled import NUMBER, POINTER, load
from wsipipe.geometry import Array
from wsipipe.store.encoding import PROBABILITY_MAX
from wsipipe.store.tables import Table

SOURCE = Path(__file__).with_name("instances.cpp")


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled functions; None without a compiler."""
    found = load(SOURCE)
    if found is None:
        return None
    found.label_seeds.argtypes = [POINTER, POINTER, NUMBER, NUMBER, *[POINTER] * 4]
    found.sum_seeds.argtypes = [POINTER, POINTER, NUMBER, *[POINTER] * 6]
    found.look_up.argtypes = [POINTER, NUMBER, POINTER, NUMBER, POINTER, NUMBER, NUMBER, NUMBER]
    found.grow.argtypes = [POINTER, POINTER, NUMBER, NUMBER, POINTER, NUMBER]
    found.sum_grown.argtypes = [POINTER, NUMBER, POINTER, NUMBER, NUMBER, *[POINTER] * 8]
    return found


def labelled_seeds(nucleus: Array, centre: Array, levels: tuple[int, int]) -> tuple[Array, Table] | None:
    """Return labels and sums of :func:`wsipipe.stages.nuclei.seeds.find_seeds`, or None.

    Args:
        nucleus: Stored nucleus probability (H, W) uint8.
        centre: Stored centre probability, on the same pixels.
        levels: Least stored nucleus and centre value.

    Returns:
        The labels (H, W) uint32, and ``area``, ``nucleus``, ``centre`` and ``foreground`` by label.
    """
    functions = library()
    if functions is None or nucleus.dtype != np.uint8 or centre.dtype != np.uint8:
        return None
    nucleus, centre = np.ascontiguousarray(nucleus), np.ascontiguousarray(centre)
    labels, held = np.empty(nucleus.shape, np.uint32), np.empty(nucleus.shape, np.int32)
    counts, limits = np.zeros(2, np.int64), np.array([*levels, PROBABILITY_MAX], np.int64)
    maps = (nucleus.ctypes.data, centre.ctypes.data)
    functions.label_seeds(*maps, *nucleus.shape, *_places(limits, labels, held, counts))
    size = 1 + int(counts.sum())
    sums = {name: np.zeros(size, np.int64) for name in ("area", "nucleus", "centre")}
    sums["foreground"] = np.arange(size)
    functions.sum_seeds(*maps, nucleus.size, *_places(labels, held, *sums.values()))
    return labels, sums


def looked_up(table: Array, values: Array, out: Array | None = None) -> Array | None:
    """Return ``table[values]``, or None.

    Args:
        table: Values (n,) uint32.
        values: Indices (H, W) uint32; pixels of a row may not lie apart, in ``out`` neither.
        out: Array (H, W) uint32 to fill; None for a new one.

    Raises:
        IndexError: An index lies outside the table.
    """
    functions = library()
    if functions is None or not (table.dtype == values.dtype == np.uint32) or not _has_dense_rows(values):
        return None
    found = np.empty(values.shape, np.uint32) if out is None else out
    table = np.ascontiguousarray(table)
    done = functions.look_up(
        table.ctypes.data, table.size, *_rows_of(values), *_rows_of(found), *values.shape
    )
    if not done:
        raise IndexError(f"a label is outside the table of {table.size} entries")
    return found


def grown(labels: Array, free: Array, ranks: Array, steps: int) -> bool:
    """Grow labels in place into free pixels.

    Args:
        labels: Labels (H, W) uint32, with a border of one pixel without label.
        free: Pixels to take (H, W) bool, false on the border; taken ones become false.
        ranks: Rank (n,) int64 of each label.
        steps: Number of steps.

    Returns:
        Whether it was done.
    """
    functions = library()
    if functions is None:
        return False
    functions.grow(
        labels.ctypes.data, free.ctypes.data, *labels.shape, np.ascontiguousarray(ranks).ctypes.data, steps
    )
    return True


def summed_grown(labels: Array, nucleus: Array, numbers: Array) -> tuple[Array, Table] | None:
    """Return the seed numbers of a core, and sums and bounds by label, or None.

    Args:
        labels: Labels (H, W) uint32 of the core; rows may lie apart.
        nucleus: Stored nucleus probability (H, W) uint8.
        numbers: Seed number (n,) uint32 of each label.

    Returns:
        Seed numbers (H, W) uint32, and ``area``, ``nucleus``, ``first``, ``last`` (places in the core),
        ``min_x`` and ``max_x`` by label.
    """
    functions = library()
    if functions is None or nucleus.dtype != np.uint8 or numbers.dtype != np.uint32:
        return None
    if labels.dtype != np.uint32 or not _has_dense_rows(labels):
        return None
    nucleus, numbers = np.ascontiguousarray(nucleus), np.ascontiguousarray(numbers)
    found = np.empty(labels.shape, np.uint32)
    sums = {name: np.zeros(numbers.size, np.int64) for name in ("area", "nucleus", "first", "last")}
    sums |= {"min_x": np.full(numbers.size, labels.shape[1]), "max_x": np.full(numbers.size, -1)}
    functions.sum_grown(
        *_rows_of(labels), nucleus.ctypes.data, *labels.shape, *_places(numbers, found, *sums.values())
    )
    return found, sums


def _places(*arrays: Array) -> list[int]:
    return [array.ctypes.data for array in arrays]


def _rows_of(image: Array) -> tuple[int, int]:
    """Return address and px between the starts of two rows."""
    return image.ctypes.data, image.strides[0] // image.itemsize


def _has_dense_rows(image: Array) -> bool:
    return image.ndim == 2 and image.size > 0 and image.strides[1] == image.itemsize and image.strides[0] > 0
