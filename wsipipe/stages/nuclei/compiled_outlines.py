"""Compiled outlines, moments, colours and texture of labels.

Each function returns None where it cannot be used; callers then compute the same with NumPy and shapely, more
slowly.
"""

import ctypes
import functools
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wsipipe.common.compiled import NUMBER, POINTER, load
from wsipipe.geometry import Array

SOURCE = Path(__file__).with_name("outlines.cpp")
TEXTURE_SUMS, TEXTURE_BINS = 9, 16


class Traced(NamedTuple):
    """Rings of all labels, by label, the outer one first.

    Attributes:
        points: (x, y) of the bends (n, 2) int32, in half px.
        starts: First point of each ring, and the number of points, (rings + 1,) int64.
        label: Label (rings,) of each ring.
        straight: Number of straight sides (rings,) of each ring.
        diagonal: Number of other sides.
    """

    points: Array
    starts: Array
    label: Array
    straight: Array
    diagonal: Array


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled functions; None without a compiler."""
    found = load(SOURCE)
    if found is None:
        return None
    found.own_labels.argtypes = [POINTER, NUMBER, NUMBER, POINTER, NUMBER, POINTER, NUMBER, NUMBER]
    found.moments.argtypes = [POINTER, NUMBER, NUMBER, NUMBER, POINTER]
    found.colour_sums.argtypes = [POINTER, POINTER, NUMBER, NUMBER, POINTER]
    found.density_sums.argtypes = [POINTER, POINTER, POINTER, NUMBER, NUMBER, POINTER]
    found.texture_sums.argtypes = [POINTER, POINTER, POINTER, NUMBER, NUMBER, NUMBER, POINTER]
    found.count_sides.argtypes = [POINTER, NUMBER, NUMBER]
    found.trace.argtypes = [POINTER, POINTER, NUMBER, NUMBER, POINTER, POINTER]
    found.count_sides.restype = found.trace.restype = ctypes.c_int64
    found.hull_areas.argtypes = [POINTER, POINTER, POINTER, NUMBER, POINTER, POINTER]
    found.write_wkb.argtypes = [POINTER, POINTER, POINTER, NUMBER, POINTER]
    return found


def numbered(labels: Array, numbers: Array, first: int) -> Array | None:
    """Return ``numbers[labels - first]``, 0 outside the table, or None.

    Args:
        labels: Labels (H, W) uint32; rows may lie apart, pixels of a row may not.
        numbers: Numbers (n,) int32.
        first: Label of the first number.
    """
    functions = library()
    if functions is None or labels.dtype != np.uint32 or not labels.size or labels.strides[1] != 4:
        return None
    own, row_px = np.empty(labels.shape, np.int32), labels.strides[0] // 4
    table = (numbers.ctypes.data, first, numbers.size)
    functions.own_labels(*table, labels.ctypes.data, row_px, own.ctypes.data, *labels.shape)
    return own


def moment_sums(labels: Array, count: int) -> Array | None:
    """Return sums of each label about its smallest y and x, or None.

    Args:
        labels: Labels (H, W) int32, 0..count.
        count: Number of labels.

    Returns:
        (8, count) int64: area, y, x, y y, x x, y x, smallest y, smallest x.
    """
    functions = library()
    if functions is None or not _is_usable(labels):
        return None
    sums = np.zeros((8, count + 1), np.int64)
    done = functions.moments(labels.ctypes.data, *labels.shape, count, sums.ctypes.data)
    return sums[:, 1:] if done else None


def colour_sums(labels: Array, image: Array, count: int) -> Array | None:
    """Return area and sums of RGB of each label, or None.

    Args:
        labels: Labels (H, W) int32, 0..count.
        image: RGB (H, W, 3) uint8.
        count: Number of labels.

    Returns:
        (4, count) int64: area, red, green, blue.
    """
    functions = library()
    usable = _is_usable(labels) and image.dtype == np.uint8 and image.shape == (*labels.shape, 3)
    if functions is None or not usable:
        return None
    image, sums = np.ascontiguousarray(image), np.zeros((4, count + 1), np.int64)
    done = functions.colour_sums(labels.ctypes.data, image.ctypes.data, labels.size, count, sums.ctypes.data)
    return sums[:, 1:] if done else None


def density_sums(labels: Array, image: Array, count: int, tables: Array) -> Array | None:
    """Return sums of the densities of two dyes in each label, and its area, or None.

    Args:
        labels: Labels (H, W) int32, 0..count.
        image: RGB (H, W, 3) uint8.
        count: Number of labels.
        tables: Part of each colour value in each density, (2, 3, 256) int64.

    Returns:
        (3, count) int64: both sums, area.
    """
    functions = library()
    usable = _is_usable(labels) and image.dtype == np.uint8 and image.shape == (*labels.shape, 3)
    if functions is None or not usable:
        return None
    image, tables, sums = (
        np.ascontiguousarray(image),
        np.ascontiguousarray(tables),
        np.zeros((3, count + 1), np.int64),
    )
    places = (array.ctypes.data for array in (labels, image, tables))
    done = functions.density_sums(*places, labels.size, count, sums.ctypes.data)
    return sums[:, 1:] if done else None


def texture_sums(labels: Array, image: Array, count: int, homogeneity: Array) -> Array | None:
    """Return sums of the grey levels of each label, or None.

    Args:
        labels: Labels (H, W) int32, 0..count.
        image: RGB (H, W, 3) uint8; grey is (red + 2 green + blue) / 4, rounded down.
        count: Number of labels.
        homogeneity: Weight of each difference of grey levels, (256,) int64.

    Returns:
        (25, count) int64: area, sums of grey and its square; of the pairs of pixels that touch, also at a
        corner: number, sums of squared difference, weight, sum, sum of squares and product; then the number
        of pixels in each sixteenth of the grey levels.
    """
    functions = library()
    usable = _is_usable(labels) and image.dtype == np.uint8 and image.shape == (*labels.shape, 3)
    if functions is None or not usable:
        return None
    image, sums = np.ascontiguousarray(image), np.zeros((count + 1, TEXTURE_SUMS + TEXTURE_BINS), np.int64)
    places = (array.ctypes.data for array in (labels, image, homogeneity))
    done = functions.texture_sums(*places, *labels.shape, count, sums.ctypes.data)
    return np.ascontiguousarray(sums[1:].T) if done else None


def traced(labels: Array) -> Traced | None:
    """Return the rings of labels (H, W) int32, or None."""
    functions = library()
    if functions is None or labels.dtype != np.int32:
        return None
    padded = np.pad(labels, 1)
    sides = functions.count_sides(padded.ctypes.data, *padded.shape)
    seen, points = np.zeros(padded.shape, np.uint8), np.empty((sides, 2), np.int32)
    rings = np.empty((sides // 4, 4), np.int64)
    places = (array.ctypes.data for array in (points, rings))
    rings = rings[: functions.trace(padded.ctypes.data, seen.ctypes.data, *padded.shape, *places)]
    # The first side of a label in raster order is on its outer ring: a stable sort puts it first.
    order = np.argsort(rings[:, 1], kind="stable")
    sizes, (_, label, straight, diagonal) = rings[:, 0], rings[order].T
    begins = np.cumsum(sizes) - sizes
    starts = np.append(0, np.cumsum(sizes[order]))
    place = np.arange(starts[-1]) + np.repeat(begins[order] - starts[:-1], sizes[order])
    return Traced(points[place], starts, label, straight, diagonal)


def areas(rings: Traced) -> tuple[Array, Array] | None:
    """Return the areas of outlines and convex hulls, or None.

    Both are (n,) float64, px.
    """
    functions = library()
    if functions is None:
        return None
    first = _first_rings(rings)
    eighths = np.zeros((2, first.size - 1), np.int64)
    points = np.ascontiguousarray(rings.points, np.int32)
    places = (array.ctypes.data for array in (points, rings.starts, first))
    functions.hull_areas(*places, first.size - 1, eighths[0].ctypes.data, eighths[1].ctypes.data)
    return eighths[0] / 8, eighths[1] / 8


def well_known_binary(rings: Traced, points: Array) -> tuple[Array, Array] | None:
    """Return the polygons as well-known binary, or None.

    Args:
        rings: The rings.
        points: Coordinates (n, 2) float64 of their points, (x, y).

    Returns:
        Start of each polygon and the end (polygons + 1,) int64, and all bytes (m,) uint8.
    """
    functions = library()
    if functions is None or sys.byteorder != "little":
        return None
    first = _first_rings(rings)
    ring_bytes = np.append(0, np.cumsum(4 + 16 * (np.diff(rings.starts) + 1)))
    begins = ring_bytes[first] + 9 * np.arange(first.size)
    content, points = np.empty(begins[-1], np.uint8), np.ascontiguousarray(points, np.float64)
    places = (array.ctypes.data for array in (points, rings.starts, first))
    functions.write_wkb(*places, first.size - 1, content.ctypes.data)
    return begins, content


def _first_rings(rings: Traced) -> Array:
    """Return the first ring of each label, and the number of rings."""
    return np.append(np.flatnonzero(np.diff(rings.label, prepend=0)), rings.label.size).astype(np.int64)


def _is_usable(labels: Array) -> bool:
    return labels.dtype == np.int32 and labels.flags.c_contiguous and labels.ndim == 2
