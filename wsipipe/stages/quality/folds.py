"""Find folds and blurred areas in tissue, at about 8 um per px.

In a fold two sheets lie over each other: every dye absorbs about twice as much as around it, and the hue
stays. Density and saturation are the measures of Bautista and Yagi 2009 and of Kothari et al. 2013
(doi:10.4103/2153-3539.117448); here both follow from optical densities. Blur is decided by the scores of
:mod:`wsipipe.stages.quality.focus`. Values are whole numbers and windows are squares, so masks commute with
the eight orientations.
"""

import math

import numpy as np
from scipy import ndimage

from wsipipe.geometry import Array
from wsipipe.stages.quality.focus import STEPS_PER_OCTAVE, score_of
from wsipipe.stages.quality.params import QualityParams
from wsipipe.tiling.morphology import closed, dilated, opened, without_specks
from wsipipe.tiling.optical_density import OpticalDensity

SURROUNDINGS_UM = 300.0
"""Half the width of the surroundings that a fold is compared with."""
_PLAIN_PERCENT, _HUE_PERCENT = 130, 115
"""Density of single sheets in percent of the mean, and most red per density of a fold: nuclei have more."""
_DENSEST_PERCENT = 115
"""Least density of a fold in percent of what a tenth of the tissue exceeds, such as dense epithelium."""
_STAINED = 60
"""Density of tissue, thousandths; gaps and the margin of the mask have less."""
_SHAPE_UM = 8.0
_EDGE_UM = 24.0
_EDGE_PERCENT = {"total": 165, "red": 140, "green": 140, "blue": 140}
"""Least density in percent of that around it, of pixels at the edge of a fold."""
_BLUR_SHAPE_UM = 24.0
_EDGE_OCTAVES = 2
_BLUR_EDGE_UM = 16.0


def find_folds(density: OpticalDensity, tissue: Array, mpp: float, params: QualityParams) -> Array:
    """Return where tissue is as dense as two sheets.

    Args:
        density: Optical densities of the overview, thousandths.
        tissue: Tissue, (H, W) bool, without ink.
        mpp: Um per px of the overview.
        params: Thresholds.

    Returns:
        (H, W) bool.
    """
    tissue = tissue & (density.total >= _STAINED)
    if not tissue.any():
        return tissue
    half = max(1, int(SURROUNDINGS_UM / mpp))
    number = box_sum(tissue, half)
    mean = box_sum(np.where(tissue, density.total, 0), half) // np.maximum(number, 1)
    # The fold itself is no part of the single sheets around it.
    plain = tissue & (100 * density.total <= _PLAIN_PERCENT * mean)
    number = np.maximum(box_sum(plain, half), 1)
    own_number = np.maximum(box_sum(tissue, 1), 1)
    percent = np.int64(round(100 * params.fold_ratio))
    dense = tissue.copy()
    own, around = {}, {}
    for name in ("red", "green", "blue", "total"):
        values = getattr(density, name)
        own[name] = (box_sum(np.where(tissue, values, 0), 1) // own_number).astype(np.int64)
        around[name] = (box_sum(np.where(plain, values, 0), half) // number).astype(np.int64)
        dense &= 100 * own[name] >= percent * np.maximum(around[name], 1)
    densest = int(np.quantile(density.total[tissue], 0.9, method="lower"))
    dense &= own["total"] >= max(1000 * params.fold_od, _DENSEST_PERCENT * densest // 100)
    dense &= 100 * own["red"] * around["total"] <= _HUE_PERCENT * around["red"] * own["total"]
    shaped = opened(closed(dense, _SHAPE_UM / mpp), _SHAPE_UM / mpp)
    shaped = without_specks(shaped, params.min_area_um2 / mpp**2)
    shaped = _with_edges(shaped, tissue, density, around, mpp)
    return dilated(shaped, params.margin_um / mpp) & tissue


def _with_edges(
    folds: Array, tissue: Array, density: OpticalDensity, around: dict[str, Array], mpp: float
) -> Array:
    """Return folds with their edges, which the mean over 3 x 3 px makes paler."""
    if not folds.any():
        return folds
    edge = tissue & dilated(folds, _EDGE_UM / mpp)
    for name, percent in _EDGE_PERCENT.items():
        edge &= 100 * getattr(density, name).astype(np.int64) >= percent * np.maximum(around[name], 1)
    grown = ndimage.binary_propagation(folds, np.ones((3, 3), np.bool_), mask=edge | folds)
    return closed(grown, _SHAPE_UM / mpp)


def find_blur(fine: Array, coarse: Array, tissue: Array, mpp: float, params: QualityParams) -> Array:
    """Return where tissue is out of focus.

    Args:
        fine: Scores of focus at 0.5 um, (H, W) uint8; 0 where not measured.
        coarse: Scores at 2 um.
        tissue: Tissue, (H, W) bool, without ink and folds.
        mpp: Um per px of the scores.
        params: Thresholds.

    Returns:
        (H, W) bool.
    """
    measured = tissue & (coarse > 0) & (fine > 0)
    steps = round(STEPS_PER_OCTAVE * math.log2(params.blur_fall))
    fall = coarse.astype(np.int16) - fine
    # A straight edge of tissue has few coarse details too, but hardly fewer fine ones.
    none = (coarse < score_of(params.blur_coarse)) & (fall >= _EDGE_OCTAVES * STEPS_PER_OCTAVE)
    blurred = measured & ((fall >= steps) | none)
    # Cells without contrast belong to what surrounds them.
    sharp = measured & ~blurred
    blurred = closed(blurred, _BLUR_SHAPE_UM / mpp) & ~opened(sharp, _BLUR_SHAPE_UM / mpp)
    blurred = without_specks(opened(blurred, _BLUR_SHAPE_UM / mpp) & tissue, params.min_area_um2 / mpp**2)
    # A window across the edge of a blurred area is as sharp as its sharp part.
    return dilated(blurred, _BLUR_EDGE_UM / mpp) & tissue


def box_sum(values: Array, half_px: int) -> Array:
    """Return sums over squares, (H, W) int32; nothing is outside.

    Args:
        values: (H, W) bool or integers; every sum is below 2**31.
        half_px: Half the side of a square; its side is ``2 * half_px + 1``.
    """
    sums = values.astype(np.int32)
    for axis in (0, 1):
        pad = [(half_px + 1, half_px) if each == axis else (0, 0) for each in (0, 1)]
        # Running sums may wrap, their differences do not.
        running = np.cumsum(np.pad(sums, pad), axis=axis, dtype=np.int32)
        length, side = sums.shape[axis], 2 * half_px + 1
        sums = np.take(running, range(side, side + length), axis) - np.take(running, range(length), axis)
    return sums
