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
from wsipipe.tiling.morphology import dilated, eroded, opened
from wsipipe.tiling.optical_density import OpticalDensity

LINE_UM = 56.0
"""Width from which a dark structure is no line."""
GAP_UM = 32.0
"""Gap in an outline that is closed."""
LARGEST_UM = 5000.0
_SHAPE_UM = 24.0
_NEUTRAL_PERCENT = 60
"""Least density of every channel in percent of the densest: dyes absorb one channel far less."""
_ROUND_PERCENT = 75
"""Least area in percent of the circle around its centre that holds all of it."""
_EIGHT = np.ones((3, 3), np.bool_)


def find_bubbles(density: OpticalDensity, scanned: Array, mpp: float, params: QualityParams) -> Array:
    """Return the areas within round, dark, neutral lines.

    Args:
        density: Optical densities of the overview, thousandths.
        scanned: Scanned pixels, (H, W) bool.
        mpp: Um per px of the overview.
        params: Thresholds.

    Returns:
        (H, W) bool, lines included.
    """
    found = np.zeros_like(scanned)
    # No line is darker than the pixel itself: most slides end here.
    lowest = np.minimum(np.minimum(density.red, density.green), density.blue)
    if not (scanned & (lowest >= 1000 * params.bubble_od)).any():
        return found
    lines = _lines(density, mpp, params) & scanned
    reach = GAP_UM / 2 / mpp
    labels, _ = ndimage.label(dilated(lines, reach), _EIGHT)
    most_px, least_px = LARGEST_UM / mpp, 2 * np.sqrt(params.min_bubble_um2 / np.pi) / mpp
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        sides = [part.stop - part.start for part in box]
        if least_px <= min(sides) and max(sides) <= most_px + 2 * reach:
            within = _within(labels[box] == number, reach, mpp)
            if _is_bubble(lines[box] & within, within, params.min_bubble_um2 / mpp**2):
                found[box] |= within
    return found & scanned


def _lines(density: OpticalDensity, mpp: float, params: QualityParams) -> Array:
    """Return pixels of thin structures that are darker in all channels alike."""
    side = 2 * round(LINE_UM / mpp / 2 - 0.5) + 1
    hats = [
        channel - ndimage.grey_opening(channel, (side, side))
        for channel in (density.red, density.green, density.blue)
    ]
    lowest, highest = np.minimum.reduce(hats), np.maximum.reduce(hats)
    neutral = 100 * lowest >= _NEUTRAL_PERCENT * highest
    return np.asarray((lowest >= 1000 * params.bubble_od) & neutral, np.bool_)


def _within(line: Array, reach: float, mpp: float) -> Array:
    """Return what a line encloses, without strands.

    Args:
        line: Line that was dilated by ``reach``, (h, w) bool.
        reach: Px by which the result is smaller.
        mpp: Um per px.
    """
    margin = int(reach + _SHAPE_UM / mpp) + 1
    filled = ndimage.binary_fill_holes(np.pad(line, margin))
    inner = np.s_[margin:-margin, margin:-margin]
    return np.asarray(opened(eroded(filled, reach), _SHAPE_UM / mpp)[inner], np.bool_)


def _is_bubble(line: Array, within: Array, least_px: float) -> bool:
    """Return whether an area is large and round, and more than its outline."""
    area = int(within.sum())
    if area < least_px or 5 * int(line.sum()) > 4 * area:
        return False
    y, x = (each.astype(np.int64) for each in np.nonzero(within))
    # Distances from the centre, times the number of pixels: whole numbers, however the slide lies.
    farthest = int(((area * y - y.sum()) ** 2 + (area * x - x.sum()) ** 2).max())
    return bool(100 * area**3 >= _ROUND_PERCENT * np.pi * farthest)
