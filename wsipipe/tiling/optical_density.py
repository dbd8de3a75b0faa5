"""Optical density of an overview and its roughness, in whole thousandths and with symmetric windows."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wsipipe.tiling.morphology import Mask

Milli = npt.NDArray[np.int32]

TEXTURE_HALF_PX = 2
SMOOTHING_PX = 2
"""Px that the trust and the smoothing look beyond their own."""
REACH_PX = SMOOTHING_PX + 2 * TEXTURE_HALF_PX
"""Px that the densities and their roughness look beyond their own."""
_TRUSTED = 16


class Density(NamedTuple):
    """Smoothed densities of the channels, their sum and its local roughness, (H, W) int32 in thousandths."""

    red: Milli
    green: Milli
    blue: Milli
    total: Milli
    rough: Milli


def density_of(rgb: npt.NDArray[np.uint8], scanned: Mask, glass: tuple[int, ...]) -> Density:
    """Densities of an overview against glass, from scanned px alone.

    Args:
        rgb: Overview (H, W, 3) uint8.
        scanned: (H, W) bool, False where the scanner recorded nothing.
        glass: Grey level of glass in each channel.
    """
    red, green, blue = smoothed_densities(rgb, scanned, glass)
    total = red + green + blue
    return Density(red, green, blue, total, _roughness(total, scanned))


def smoothed_densities(rgb: npt.NDArray[np.uint8], scanned: Mask, glass: tuple[int, ...]) -> list[Milli]:
    """Smoothed densities of the three channels; arguments as of :func:`density_of`."""
    trust = _trust(scanned)
    return [_smoothed(rgb[..., channel], glass[channel], trust) for channel in range(3)]


def _trust(scanned: Mask) -> Milli:
    """Weights (H, W): px at the rim of the scanned area may be mixed with white, and count little."""
    inner = ndimage.binary_erosion(scanned, np.ones((3, 3), np.bool_), border_value=1)
    return np.where(inner, _TRUSTED, scanned).astype(np.int32)


def _smoothed(channel: npt.NDArray[np.uint8], glass: int, trust: Milli) -> Milli:
    """Optical density against glass in thousandths, smoothed by (1 2 1) x (1 2 1) and the trust."""
    levels = np.rint(1000 * np.log10((glass + 1) / (np.arange(256) + 1.0))).astype(np.int32)
    return _blurred(levels[channel] * trust) // np.maximum(_blurred(trust), 1)


def _blurred(values: Milli) -> Milli:
    padded = np.pad(values, 1, mode="symmetric")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]


def _roughness(total: Milli, scanned: Mask) -> Milli:
    """Mean distance of the density from its 5 x 5 mean, over the scanned px of 5 x 5."""
    weights = scanned.astype(np.int32)
    count = np.maximum(_window_sum(weights, TEXTURE_HALF_PX), 1)
    coarse = np.abs(count * total - _window_sum(total * weights, TEXTURE_HALF_PX)) // count
    return _window_sum(coarse * weights, TEXTURE_HALF_PX) // count


def _window_sum(values: Milli, half_px: int) -> Milli:
    """Sums over squares of ``2 * half_px + 1``, mirrored at the border."""
    for axis in (0, 1):
        pad = [(half_px, half_px) if i == axis else (0, 0) for i in (0, 1)]
        padded = np.pad(values, pad, mode="symmetric")
        length = values.shape[axis]
        total = np.zeros_like(values)
        for start in range(2 * half_px + 1):
            total += np.take(padded, range(start, start + length), axis=axis)
        values = total
    return values
