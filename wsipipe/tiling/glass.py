"""Colour of bare glass in an overview: the picture's own where it shows glass, else a prior."""

import numpy as np
import numpy.typing as npt

from wsipipe.tiling.morphology import Mask
from wsipipe.tiling.optical_density import SMOOTHING_PX, smoothed_densities

Levels = npt.NDArray[np.uint8]

# Glass is bright and nearly grey: no channel below, and no two channels further apart (grey levels).
_LEAST, _SPREAD = 200, 18
# Its tint is not that of a stain: eosin and haematoxylin absorb more green than red (thousandths of density).
_MOST_GREEN_OVER_RED = 9
_SHARE = 0.002
_PRIOR_LEVELS = (230, 250)
_PRIOR_QUANTILE = 0.99
_BAND_PX = 256
_WHITE = (255, 255, 255)


def glass_colour(rgb: Levels, scanned: Mask) -> tuple[int, ...]:
    """Grey level of bare glass in each channel.

    It is the commonest of the bright and nearly grey pixels that have not the tint of a stain. Where there
    are hardly any of these, the picture shows no glass, and nothing in it but its brightest level says how
    bright glass would be: then glass is taken to be grey, of that level, kept between 230 and 250.

    Args:
        rgb: Overview (H, W, 3) uint8.
        scanned: (H, W) bool, False where the scanner recorded nothing; some px are True.
    """
    own, brightest = np.zeros((3, 256), np.int64), np.zeros(256, np.int64)
    for y in range(0, len(rgb), _BAND_PX):
        first, end = max(0, y - SMOOTHING_PX), min(len(rgb), y + _BAND_PX + SMOOTHING_PX)
        red, green, _ = smoothed_densities(rgb[first:end], scanned[first:end], _WHITE)
        # The px around take part, for a px of pale tissue may be grey by chance.
        untinted = (green - red <= _MOST_GREEN_OVER_RED)[y - first :][:_BAND_PX]
        band, counted = rgb[y : y + _BAND_PX], scanned[y : y + _BAND_PX]
        glass = counted & untinted & _bright_grey(band)
        own += [_histogram(band[..., channel][glass]) for channel in range(3)]
        brightest += _histogram(band.max(axis=2)[counted])
    if own[0].sum() >= max(1, _SHARE * scanned.sum()):
        return tuple(_commonest(histogram) for histogram in own)
    level = np.searchsorted(np.cumsum(brightest), _PRIOR_QUANTILE * brightest.sum())
    return (int(np.clip(level, *_PRIOR_LEVELS)),) * 3


def _bright_grey(rgb: Levels) -> Mask:
    low, high = rgb.min(axis=2), rgb.max(axis=2)
    # 255 in every channel is not glass: readers and scanners paint it where nothing was recorded.
    grey: Mask = (low >= _LEAST) & (high - low <= _SPREAD) & (low < 255)
    return grey


def _histogram(levels: Levels) -> npt.NDArray[np.int64]:
    return np.bincount(levels.ravel(), minlength=256)


def _commonest(histogram: npt.NDArray[np.int64]) -> int:
    """The commonest level, the brightest of equals; levels beside it count too: a field has little glass."""
    smooth = np.convolve(histogram, (1, 2, 3, 2, 1))[2:-2]
    return 255 - int(smooth[::-1].argmax())
