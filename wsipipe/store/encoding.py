"""Encoding of probabilities as uint8.

Probabilities in [0, 1] are stored as 0..250; 254 (unreadable) and 255 (not computed) are no probabilities.
"""

import numpy as np
import numpy.typing as npt

PROBABILITY_MAX = 250
"""Stored value of probability 1."""
UNREADABLE = 254
NOT_COMPUTED = 255


def quantise(probability: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Encode probabilities as uint8.

    Args:
        probability: Floats of any shape, clipped to [0, 1]; NaN becomes 0.

    Returns:
        Nearest values in 0..250.
    """
    known = np.clip(np.nan_to_num(probability, nan=0.0), 0, 1)
    return np.rint(known * PROBABILITY_MAX).astype(np.uint8)


def dequantise(stored: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Decode stored probabilities to float32.

    Returns:
        Probabilities in [0, 1]; NaN where unreadable or not computed.
    """
    table = np.arange(256, dtype=np.float32) / np.float32(PROBABILITY_MAX)
    table[PROBABILITY_MAX + 1 :] = np.nan
    return table[stored]
