"""Estimate the colour of bare glass in an overview."""

import numpy as np
import numpy.typing as npt

from wsipipe.tiling.morphology import Mask
from wsipipe.tiling.optical_density import SMOOTHING_PX, smoothed_densities

Levels = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]

# Glass is bright and nearly grey: no channel below, and no two channels further apart (grey levels).
_LEAST, _SPREAD = 200, 18
# Glass has no tint of a stain: eosin and haematoxylin absorb more green than red (thousandths of density).
_MOST_GREEN_OVER_RED = 9
_SHARE = 0.002
_PRIOR_LEVELS = (230, 250)
_PRIOR_QUANTILE = 0.99
_BAND_PX = 256
_WHITE = (255, 255, 255)


def glass_colour(rgb: Levels, scanned: Mask) -> tuple[int, ...]:
    """Return the grey level of bare glass in each channel.

    It is the most frequent colour of bright, nearly grey pixels without the tint of a stain. If there are
    hardly any of these, the overview shows no glass; then glass is assumed to be grey, of the brightest level
    of the overview, limited to 230..250.

    Args:
        rgb: Overview (H, W, 3) uint8.
        scanned: Scanned pixels (H, W) bool, at least one.
    """
    own, brightest = np.zeros((3, 256, 256), np.int64), np.zeros(256, np.int64)
    for y in range(0, len(rgb), _BAND_PX):
        first, end = max(0, y - SMOOTHING_PX), min(len(rgb), y + _BAND_PX + SMOOTHING_PX)
        red, green, _ = smoothed_densities(rgb[first:end], scanned[first:end], _WHITE)
        # The neighbouring px are included, since a px of pale tissue may be grey by chance.
        untinted = (green - red <= _MOST_GREEN_OVER_RED)[y - first :][:_BAND_PX]
        band, counted = rgb[y : y + _BAND_PX], scanned[y : y + _BAND_PX]
        glass = counted & untinted & _bright_grey(band)
        own += _by_green(band[glass])
        brightest += _histogram(band.max(axis=2)[counted])
    if own[0].sum() >= max(1, _SHARE * scanned.sum()):
        return _most_frequent(own)
    level = np.searchsorted(np.cumsum(brightest), _PRIOR_QUANTILE * brightest.sum())
    return (int(np.clip(level, *_PRIOR_LEVELS)),) * 3


def _bright_grey(rgb: Levels) -> Mask:
    low, high = rgb.min(axis=2), rgb.max(axis=2)
    # 255 in every channel is not glass: readers and scanners paint it where nothing was recorded.
    grey: Mask = (low >= _LEAST) & (high - low <= _SPREAD) & (low < 255)
    return grey


def _histogram(levels: Levels) -> Counts:
    return np.bincount(levels.ravel(), minlength=256)


def _by_green(rgb: Levels) -> Counts:
    """Count px by level of green and each channel.

    Px are (N, 3), counts (3, 256, 256).
    """
    cells = 256 * rgb[:, 1].astype(np.int64)[:, None] + rgb
    return np.stack([np.bincount(cells[:, i], minlength=1 << 16).reshape(256, 256) for i in range(3)])


def _most_frequent(by_green: Counts) -> tuple[int, ...]:
    """Return the most frequent colour by green level.

    It is the median of each channel over px near the most frequent green level. Of equally frequent levels,
    the brightest is used. A field may have few px of glass, so adjacent levels count too, and channels are
    not evaluated separately.
    """
    greens = np.convolve(by_green[1].sum(axis=1), (1, 3, 1))[1:-1]
    green = 255 - int(greens[::-1].argmax())
    near = by_green[:, max(0, green - 1) : green + 2].sum(axis=1)
    return tuple(int(np.searchsorted(np.cumsum(counts), counts.sum() / 2)) for counts in near)
