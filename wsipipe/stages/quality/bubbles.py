"""Find air bubbles under the coverslip by their outlines, at about 8 um per px.

The edge of a bubble bends light of all colours alike: over tissue and glass it is a thin, dark, neutral line
that is closed and round. A line is what a morphological top hat of the optical density keeps; pen strokes are
wider or opaque, walls of vessels and glands have the colour of a dye. Bubbles are one of the classes of
HistoQC (Janowczyk et al. 2019, doi:10.1200/CCI.18.00157). Values are whole numbers and windows are squares,
so masks commute with the eight orientations.
"""

import numpy as np
from scipy import ndimage

from wsipipe.geometry import Array
from wsipipe.stages.quality.params import QualityParams
from wsipipe.tiling.morphology import closed
from wsipipe.tiling.optical_density import OpticalDensity

LINE_UM = 40.0
"""Width from which a dark structure is no line."""
GAP_UM = 16.0
LARGEST_UM = 5000.0
_NEUTRAL = 3
"""Least part of the densest channel that every other has: a third more in one is the colour of a dye."""
_ROUND_PERCENT = 75
"""Least area in percent of the circle around its centre that holds all of it."""
_EIGHT = np.ones((3, 3), np.bool_)


def find_bubbles(density: OpticalDensity, clear: Array, mpp: float, params: QualityParams) -> Array:
    """Return the areas within round, dark, neutral lines.

    Args:
        density: Optical densities of the overview, thousandths.
        clear: Scanned pixels without ink, (H, W) bool.
        mpp: Um per px of the overview.
        params: Thresholds.

    Returns:
        (H, W) bool, lines included.
    """
    found = np.zeros_like(clear)
    # No line is darker than the pixel itself: most slides end here.
    lowest = np.minimum(np.minimum(density.red, density.green), density.blue)
    if not (clear & (lowest >= 1000 * params.bubble_od)).any():
        return found
    lines = closed(_lines(density, mpp, params) & clear, GAP_UM / mpp)
    labels, _ = ndimage.label(lines, _EIGHT)
    most_px, least_px = LARGEST_UM / mpp, 2 * np.sqrt(params.min_bubble_um2 / np.pi) / mpp
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        sides = [part.stop - part.start for part in box]
        if least_px <= min(sides) and max(sides) <= most_px:
            own = labels[box] == number
            filled = ndimage.binary_fill_holes(own)
            if _is_bubble(own, filled, params.min_bubble_um2 / mpp**2):
                found[box] |= filled
    return found


def _lines(density: OpticalDensity, mpp: float, params: QualityParams) -> Array:
    side = 2 * round(LINE_UM / mpp / 2) + 1
    hats = [
        channel - ndimage.grey_opening(channel, (side, side))
        for channel in (density.red, density.green, density.blue)
    ]
    lowest, highest = np.minimum.reduce(hats), np.maximum.reduce(hats)
    neutral = (_NEUTRAL + 1) * lowest >= _NEUTRAL * highest
    return np.asarray((lowest >= 1000 * params.bubble_od) & neutral, np.bool_)


def _is_bubble(line: Array, filled: Array, least_px: float) -> bool:
    """Return whether a line is closed and round."""
    area = int(filled.sum())
    if area < least_px or 5 * int(line.sum()) > 4 * area:
        return False
    y, x = (each.astype(np.int64) for each in np.nonzero(filled))
    # Distances from the centre, times the number of pixels: whole numbers, however the slide lies.
    farthest = int(((area * y - y.sum()) ** 2 + (area * x - x.sum()) ** 2).max())
    return bool(100 * area**3 >= _ROUND_PERCENT * np.pi * farthest)
