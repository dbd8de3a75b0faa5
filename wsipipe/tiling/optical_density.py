"""Optical density of an overview and its roughness.

Values are integers (thousandths), and windows are symmetric.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wsipipe.tiling.morphology import Mask

Milli = npt.NDArray[np.int32]

TEXTURE_HALF_PX = 2
SMOOTHING_PX = 2
"""Margin of the weights and the smoothing in px."""
REACH_PX = SMOOTHING_PX + 2 * TEXTURE_HALF_PX
"""Margin of the densities and their roughness in px."""
_FULL_WEIGHT = 16


class OpticalDensity(NamedTuple):
    """Optical density and roughness of an overview.

    Each is (H, W) int32 in thousandths.

    Attributes:
        red: Smoothed density of the red channel.
        green: Smoothed density of the green channel.
        blue: Smoothed density of the blue channel.
        total: Sum of the three densities.
        rough: Local roughness of ``total``.
    """

    red: Milli
    green: Milli
    blue: Milli
    total: Milli
    rough: Milli


def density_of(rgb: npt.NDArray[np.uint8], scanned: Mask, glass: tuple[int, ...]) -> OpticalDensity:
    """Return the optical density of an overview relative to glass.

    Only scanned px contribute.

    Args:
        rgb: Overview (H, W, 3) uint8.
        scanned: Scanned pixels (H, W) bool.
        glass: Grey level of glass in each channel.
    """
    red, green, blue = smoothed_densities(rgb, scanned, glass)
    total = red + green + blue
    return OpticalDensity(red, green, blue, total, _roughness(total, scanned))


def smoothed_densities(rgb: npt.NDArray[np.uint8], scanned: Mask, glass: tuple[int, ...]) -> list[Milli]:
    """Return the smoothed densities of the channels; see :func:`density_of`."""
    weights = _weights(scanned)
    return [_smoothed(rgb[..., channel], glass[channel], weights) for channel in range(3)]


def _weights(scanned: Mask) -> Milli:
    """Return weights, low at the border of the scan.

    Px there may be mixed with white.
    """
    inner = ndimage.binary_erosion(scanned, np.ones((3, 3), np.bool_), border_value=1)
    return np.where(inner, _FULL_WEIGHT, scanned).astype(np.int32)


def _smoothed(channel: npt.NDArray[np.uint8], glass: int, weights: Milli) -> Milli:
    """Return the smoothed density in thousandths.

    Smoothing is weighted, by (1 2 1) x (1 2 1).
    """
    levels = np.rint(1000 * np.log10((glass + 1) / (np.arange(256) + 1.0))).astype(np.int32)
    return _blurred(levels[channel] * weights) // np.maximum(_blurred(weights), 1)


def _blurred(values: Milli) -> Milli:
    padded = np.pad(values, 1, mode="symmetric")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]


def _roughness(total: Milli, scanned: Mask) -> Milli:
    """Return the mean absolute deviation of the density.

    It is taken over the scanned px of 5 x 5.
    """
    weights = scanned.astype(np.int32)
    count = np.maximum(_window_sum(weights, TEXTURE_HALF_PX), 1)
    coarse = np.abs(count * total - _window_sum(total * weights, TEXTURE_HALF_PX)) // count
    return _window_sum(coarse * weights, TEXTURE_HALF_PX) // count


def _window_sum(values: Milli, half_px: int) -> Milli:
    """Sum over squares, mirrored at the border.

    Their side is ``2 * half_px + 1``.
    """
    for axis in (0, 1):
        pad = [(half_px, half_px) if i == axis else (0, 0) for i in (0, 1)]
        padded = np.pad(values, pad, mode="symmetric")
        length = values.shape[axis]
        total = np.zeros_like(values)
        for start in range(2 * half_px + 1):
            total += np.take(padded, range(start, start + length), axis=axis)
        values = total
    return values
