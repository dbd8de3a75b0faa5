"""How a probability is stored: uint8, 0..250 for [0, 1], and two values that are no probability."""

import numpy as np
import numpy.typing as npt

PROBABILITY_MAX = 250
"""Stored value of probability 1; values above it are no probability."""
UNREADABLE = 254
NOT_COMPUTED = 255


def quantise(probability: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Probability, any shape, float in [0, 1] -> uint8 in 0..250, nearest; clipped, NaN is 0."""
    known = np.clip(np.nan_to_num(probability, nan=0.0), 0, 1)
    return np.rint(known * PROBABILITY_MAX).astype(np.uint8)


def dequantise(stored: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Stored uint8 -> probability float32 in [0, 1]; NaN where unreadable or not computed."""
    table = np.arange(256, dtype=np.float32) / np.float32(PROBABILITY_MAX)
    table[PROBABILITY_MAX + 1 :] = np.nan
    return table[stored]
