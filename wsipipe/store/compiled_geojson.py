"""Compiled texts of polygons and measurements.

Each function returns None where it cannot be used; callers then make the same text with shapely and json,
more slowly.
"""

import ctypes
import functools
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from wsipipe.common.compiled import NUMBER, POINTER, load
from wsipipe.geometry import Array

SOURCE = Path(__file__).with_name("geojson_text.cpp")
_LONGEST_NUMBER = 32


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled functions; None without a compiler."""
    found = load(SOURCE, "-ffp-contract=off")
    if found is None:
        return None
    found.polygon_texts.argtypes = [POINTER, POINTER, NUMBER, POINTER, POINTER]
    found.measurement_texts.argtypes = [POINTER, POINTER, NUMBER, NUMBER, *[POINTER] * 4]
    return found


def polygon_texts(polygons: pa.Array) -> list[str] | None:
    """Return the coordinates of polygons as GeoJSON, rounded to 0.01, or None.

    Args:
        polygons: Well-known binary (n,), no nulls.
    """
    functions = library()
    if functions is None or sys.byteorder != "little" or polygons.null_count:
        return None
    polygons = polygons.cast(pa.large_binary())
    _, offsets, content = polygons.buffers()
    if content is None:
        return None
    begins = np.frombuffer(offsets, np.int64)[polygons.offset : polygons.offset + len(polygons) + 1]
    size = 4 * int(begins[-1] - begins[0]) + 64 * len(polygons)
    text, ends = np.empty(size, np.uint8), np.empty(len(polygons), np.int64)
    begins = np.ascontiguousarray(begins)
    places = (text.ctypes.data, ends.ctypes.data)
    done = functions.polygon_texts(content.address, begins.ctypes.data, len(polygons), *places)
    return _cut(text, ends) if done else None


def measurement_texts(values: Array, valid: Array, names: Sequence[str]) -> list[str] | None:
    """Return measurements as members of a JSON object, rounded to 0.0001, or None.

    Args:
        values: Measurements (n, columns) float64.
        valid: Whether each is given, (n, columns) bool.
        names: Names of the columns, plain ASCII.
    """
    functions = library()
    if functions is None:
        return None
    keys = [f'"{name}":'.encode() for name in names]
    key_ends = np.cumsum([len(key) for key in keys])
    row_bytes = int(key_ends[-1]) + len(keys) * (_LONGEST_NUMBER + 1)
    text, ends = np.empty(len(values) * row_bytes, np.uint8), np.empty(len(values), np.int64)
    values, valid = np.ascontiguousarray(values, np.float64), np.ascontiguousarray(valid, bool)
    done = functions.measurement_texts(
        *(values.ctypes.data, valid.ctypes.data, *values.shape, b"".join(keys)),
        *(key_ends.ctypes.data, text.ctypes.data, ends.ctypes.data),
    )
    return _cut(text, ends) if done else None


def _cut(text: Array, ends: Array) -> list[str]:
    whole = text[: ends[-1] if ends.size else 0].tobytes().decode("ascii")
    return [whole[begin:end] for begin, end in pairwise([0, *ends.tolist()])]
