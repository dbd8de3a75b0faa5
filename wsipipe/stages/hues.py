"""Histograms of the hues of dyes in tissue.

They are compared with the hues that a network was trained on. Hue is that of the optical densities of red,
green and blue, in degrees as in HSV: 0 to 60 is a dye that absorbs red light (haematoxylin alone, blue), 90
to 160 a mixture of haematoxylin and eosin, 180 to 240 one that absorbs blue light (DAB, brown). All counts
are integers, so they do not depend on the order of pixels or the orientation of the slide.
"""

import numpy as np
import numpy.typing as npt

from wsipipe.geometry import Array

Counts = npt.NDArray[np.int64]
Rgb = tuple[int, int, int]

HUES_UM = 2.0
"""Um per px at which hues are counted: coarse enough to be fast, fine enough to resolve nuclei."""
FEWEST_DENSE_UM2 = 8000.0
"""Least area of dense tissue whose colours are judged, um2."""
LEAST_HUE_SHARE = 1 / 3
"""Least share of a slide's colour in the hues of the training data."""
WHITE_SHARE = 0.995
"""White of a channel is the value that this share of the tissue's pixels does not exceed."""
_DARKEST_MILLI = 2000
_DENSE_MILLI = 600
"""Least density of a counted pixel, summed over the channels; paler ones have the colour of the glass."""


def channel_counts(pixels: Array, counted: Array | None = None) -> Counts:
    """Return the histogram (3, 256) of each channel.

    Args:
        pixels: RGB (H, W, 3) uint8.
        counted: Pixels to count, (H, W) bool; None for all.
    """
    chosen = pixels.reshape(-1, 3) if counted is None else pixels[counted]
    return np.stack([np.bincount(chosen[:, channel], minlength=256) for channel in range(3)])


def white_of(counts: Counts) -> Rgb:
    """Return the white of each channel from its histogram; 255 for empty histograms."""
    if not counts[0].sum():
        return 255, 255, 255
    least = np.ceil(WHITE_SHARE * counts.sum(axis=1)).astype(np.int64)
    red, green, blue = ((np.cumsum(one) < number).sum() for one, number in zip(counts, least, strict=True))
    return int(red), int(green), int(blue)


def hue_counts(pixels: Array, white: Rgb, counted: Array | None = None) -> Counts:
    """Return the amount of colour of each hue.

    Args:
        pixels: RGB (H, W, 3) uint8.
        white: Colour without dye, see :func:`white_of`.
        counted: Pixels to count, (H, W) bool; None for all.

    Returns:
        (361,): thousandths of density by degree, then the number of dense pixels.
    """
    chosen = pixels.reshape(-1, 3) if counted is None else pixels[counted]
    red, green, blue = (_milli(value)[chosen[:, channel]] for channel, value in enumerate(white))
    dense = red + green + blue >= _DENSE_MILLI
    red, green, blue = red[dense], green[dense], blue[dense]
    most = np.maximum(np.maximum(red, green), blue)
    chroma = most - np.minimum(np.minimum(red, green), blue)
    hues = np.bincount(_hue((red, green, blue), most, chroma), chroma, minlength=360).astype(np.int64)
    return np.append(hues, most.size)


def share_within(hues: Counts, low: float, high: float) -> float:
    """Return the share of colour in a range of hues.

    Args:
        hues: Amounts of colour, see :func:`hue_counts`.
        low: Least hue, degrees.
        high: Greatest hue, degrees.

    Returns:
        The share; 1 where there is no colour.
    """
    degrees = np.arange(360)
    inside = hues[:360][(degrees >= low) & (degrees <= high)].sum()
    return float(inside / hues[:360].sum()) if hues[:360].sum() else 1.0


def _milli(white: int) -> npt.NDArray[np.int32]:
    density = 1000 * np.log((white + 1) / (np.arange(256) + 1))
    return np.clip(np.rint(density), 0, _DARKEST_MILLI).astype(np.int32)


def _hue(
    density: tuple[npt.NDArray[np.int32], ...], most: npt.NDArray[np.int32], chroma: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Return the hue of three densities (n,) in whole degrees 0 to 359, by integer division."""
    red, green, blue = density
    is_red, is_green = most == red, most == green
    sixth = np.where(is_red, np.int32(0), np.where(is_green, np.int32(120), np.int32(240)))
    across = np.where(is_red, green - blue, np.where(is_green, blue - red, red - green))
    return (sixth + 60 * across // np.maximum(chroma, 1)) % 360
