"""Colour of bare glass in an overview: the picture's own where it shows glass, else a prior."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from wsipipe.tiling.morphology import Mask
from wsipipe.tiling.optical_density import REACH_PX, density_of

# Glass is bright and nearly grey: no channel below, and no two channels further apart (grey levels).
_LEAST, _SPREAD, _SHARE = 200, 24, 0.002
# It is smooth, and its tint is not that of a stain: eosin and haematoxylin absorb more green than red.
_SMOOTH_MILLI, _GREEN_OVER_RED_MILLI = 3, 9
_PRIOR_LEVELS = (230, 250)
_PRIOR_QUANTILE = 0.99
_BAND_PX = 256
_WHITE = (255, 255, 255)

Histogram = npt.NDArray[np.int64]


def glass_colour(rgb: npt.NDArray[np.uint8], scanned: Mask) -> tuple[int, ...]:
    """Grey level of bare glass in each channel.

    It is the commonest of the bright, nearly grey and smooth pixels. Where there are hardly any of these, the
    picture may hold no glass at all, so that nothing in it but its brightest level says how bright glass would
    be: then glass is taken to be grey, of that level, kept between 230 and 250.

    Args:
        rgb: Overview (H, W, 3) uint8.
        scanned: (H, W) bool, False where the scanner recorded nothing; some px are True.
    """
    own, brightest = np.zeros((3, 256), np.int64), np.zeros(256, np.int64)
    for band, counted, glass in _glass_like(rgb, scanned):
        own += [_histogram(band[..., i][glass]) for i in range(3)]
        brightest += _histogram(band.max(axis=2)[counted])
    if own[0].sum() >= max(1, _SHARE * scanned.sum()):
        return tuple(int(level) for level in own.argmax(axis=1))
    level = np.searchsorted(np.cumsum(brightest), _PRIOR_QUANTILE * brightest.sum())
    return (int(np.clip(level, *_PRIOR_LEVELS)),) * 3


def _glass_like(rgb: npt.NDArray[np.uint8], scanned: Mask) -> Iterator[tuple[npt.NDArray[np.uint8], Mask, Mask]]:
    """Bands of the picture, their scanned px, and those that look like glass."""
    for y in range(0, len(rgb), _BAND_PX):
        first, end = max(0, y - REACH_PX), min(len(rgb), y + _BAND_PX + REACH_PX)
        near = density_of(rgb[first:end], scanned[first:end], _WHITE)
        own = slice(y - first, y - first + _BAND_PX)
        green_over_red, rough = (near.green - near.red)[own], near.rough[own]
        band, counted = rgb[y : y + _BAND_PX], scanned[y : y + _BAND_PX]
        low, high = band.min(axis=2), band.max(axis=2)
        # 255 in every channel is not glass: readers and scanners paint it where nothing was recorded.
        bright = counted & (low >= _LEAST) & (high - low <= _SPREAD) & (low < 255)
        yield band, counted, bright & (rough <= _SMOOTH_MILLI) & (green_over_red <= _GREEN_OVER_RED_MILLI)


def _histogram(levels: npt.NDArray[np.uint8]) -> Histogram:
    return np.bincount(levels.ravel(), minlength=256)
