"""Pixels of tissue -> how much colour there is of each hue of the dyes, to compare with what was learnt.

Hue is that of the optical densities of red, green and blue, in degrees as in HSV: 0 to 60 is a dye that
takes red light (haematoxylin alone, blue), 90 to 160 a mixture of haematoxylin and eosin, 180 to 240 one that
takes blue light (DAB, brown). All is whole numbers: neither the order of pixels nor the slide's orientation
changes a count.
"""

import numpy as np
import numpy.typing as npt

from wsipipe.geometry import Array

Counts = npt.NDArray[np.int64]
Rgb = tuple[int, int, int]

HUES_UM = 2.0
"""Um per px at which hues are counted: coarse enough to be quick, fine enough to see nuclei."""
WHITE_SHARE = 0.995
"""The white of each channel is the value that this share of the tissue's pixels does not exceed."""
_DARKEST_MILLI = 2000
_DENSE_MILLI = 600
"""Summed over the channels; what is paler has the colour of the glass rather than of a dye."""


def channel_counts(pixels: Array, counted: Array | None = None) -> Counts:
    """How often each value occurs in each channel, (3, 256), in pixels (H, W, 3) uint8 where ``counted``."""
    chosen = pixels.reshape(-1, 3) if counted is None else pixels[counted]
    return np.stack([np.bincount(chosen[:, channel], minlength=256) for channel in range(3)])


def white_of(counts: Counts) -> Rgb:
    """White of red, green and blue, from :func:`channel_counts`; 255 where nothing was counted."""
    if not counts[0].sum():
        return 255, 255, 255
    least = np.ceil(WHITE_SHARE * counts.sum(axis=1)).astype(np.int64)
    red, green, blue = ((np.cumsum(one) < number).sum() for one, number in zip(counts, least, strict=True))
    return int(red), int(green), int(blue)


def hue_counts(pixels: Array, white: Rgb, counted: Array | None = None) -> Counts:
    """Colour of each hue, (361,): thousandths of density by degree, then the number of dense pixels.

    Args:
        pixels: RGB (H, W, 3) uint8.
        white: What is no dye, of :func:`white_of`.
        counted: (H, W) bool; all pixels without.
    """
    chosen = pixels.reshape(-1, 3) if counted is None else pixels[counted]
    density = np.stack([_milli(value)[chosen[:, channel]] for channel, value in enumerate(white)])
    density = density[:, density.sum(axis=0) >= _DENSE_MILLI]
    chroma = density.max(axis=0) - density.min(axis=0)
    hues = np.bincount(_hue(density, chroma), chroma, minlength=360).astype(np.int64)
    return np.append(hues, density.shape[1])


def share_within(hues: Counts, low: float, high: float) -> float:
    """Share (0 to 1) of the colour whose hue lies from ``low`` to ``high`` degrees; 1 without colour."""
    degrees = np.arange(360)
    inside = hues[:360][(degrees >= low) & (degrees <= high)].sum()
    return float(inside / hues[:360].sum()) if hues[:360].sum() else 1.0


def _milli(white: int) -> npt.NDArray[np.int64]:
    density = 1000 * np.log((white + 1) / (np.arange(256) + 1))
    return np.clip(np.rint(density), 0, _DARKEST_MILLI).astype(np.int64)


def _hue(density: npt.NDArray[np.int64], chroma: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Whole degrees 0 to 359 of densities (3, n), by integer division."""
    red, green, blue = density
    most, least = density.max(axis=0), np.maximum(chroma, 1)
    sixth = np.select([most == red, most == green], [0, 120], 240)
    across = np.select([most == red, most == green], [green - blue, blue - red], red - green)
    return (sixth + 60 * across // least) % 360
