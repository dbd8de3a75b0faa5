"""Find folds and blurred areas in tissue, at about 8 um per px.

In a fold two sheets lie over each other: every dye absorbs about twice as much as around it, and the hue
stays. Density and saturation are the measures of Bautista and Yagi 2010 (doi:10.4103/2153-3539.73320) and of
Kothari et al. 2013 (doi:10.4103/2153-3539.117448), whose thresholds follow the slide, as here; both follow
from optical densities. Cores of folds are found first, then their edges, which are half as dense again as one
sheet, and then the gaps between pieces in a line. Blur is decided by the scores of
:mod:`wsipipe.stages.quality.focus`. Values are whole numbers and windows are squares, so masks commute with
the eight orientations.
"""

import math

import numpy as np
from scipy import ndimage

from wsipipe.geometry import Array
from wsipipe.stages.quality.bridges import bridged
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
_EDGE_UM, _NEAR_UM = 24.0, 48.0
"""Width of an edge, and half the width of the square whose core an edge is compared with."""
_EDGE_PERCENT = 77
"""Least density of an edge in percent of the core near it; that of one sheet is half."""
_BESIDE_UM = (24.0, 96.0)
"""Distance of the tissue beside a fold."""
_BESIDE_PERCENT, _SPREAD_PERCENT = 130, 90
"""Least density of a fold in percent of what a tenth of the tissue beside it exceeds, and least difference
of the two in percent of the range of the middle 80 % of that tissue."""
_GAP_UM = 200.0
"""Longest gap in a fold, where the tissue has holes."""
_CHANNELS = ("red", "green", "blue", "total")
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
    stained = tissue & (density.total >= _STAINED)
    if not stained.any():
        return stained
    # A part of a fold may be smaller than a fold.
    least_px = params.min_area_um2 / mpp**2
    dense = _dense(density, stained, mpp, params)
    cores = opened(closed(dense, _SHAPE_UM / mpp), _SHAPE_UM / mpp) & stained
    cores = without_specks(cores, least_px / 2)
    if not cores.any():
        return cores
    pieces = without_specks(_with_edges(cores, dense, stained, density, mpp), least_px / 2)
    kept = _denser_than_beside(pieces, stained, density, mpp)
    folds = without_specks(bridged(kept, int(_GAP_UM / mpp)) & tissue, least_px)
    return dilated(folds, params.margin_um / mpp) & tissue


def _dense(density: OpticalDensity, tissue: Array, mpp: float, params: QualityParams) -> Array:
    """Return tissue that is as dense as two sheets.

    It is denser than single sheets near it and most of the slide, in no bluer hue.
    """
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
    for name in _CHANNELS:
        values = getattr(density, name)
        own[name] = (box_sum(np.where(tissue, values, 0), 1) // own_number).astype(np.int64)
        around[name] = (box_sum(np.where(plain, values, 0), half) // number).astype(np.int64)
        dense &= 100 * own[name] >= percent * np.maximum(around[name], 1)
    densest = int(np.quantile(density.total[tissue], 0.9, method="lower"))
    dense &= own["total"] >= max(1000 * params.fold_od, _DENSEST_PERCENT * densest // 100)
    return dense & (100 * own["red"] * around["total"] <= _HUE_PERCENT * around["red"] * own["total"])


def _with_edges(cores: Array, dense: Array, tissue: Array, density: OpticalDensity, mpp: float) -> Array:
    """Return folds up to where their density falls towards that of one sheet."""
    half, inner = max(1, int(_NEAR_UM / mpp)), cores & dense
    number = box_sum(inner, half)
    edge = tissue & dilated(cores, _EDGE_UM / mpp) & (number > 0)
    for name in _CHANNELS:
        values = getattr(density, name)
        level = box_sum(np.where(inner, values, 0), half) // np.maximum(number, 1)
        edge &= 100 * values.astype(np.int64) >= _EDGE_PERCENT * level.astype(np.int64)
    grown = ndimage.binary_propagation(cores & edge, np.ones((3, 3), np.bool_), mask=edge)
    return opened(closed(grown, _SHAPE_UM / mpp), _SHAPE_UM / mpp)


def _denser_than_beside(pieces: Array, tissue: Array, density: OpticalDensity, mpp: float) -> Array:
    """Return the pieces that stand out from the tissue beside them.

    Keratin and epithelium lie beside tissue of several densities, up to their own.
    """
    kept = np.zeros_like(pieces)
    solid = tissue & (2 * density.total >= int(np.quantile(density.total[tissue], 0.5, method="lower")))
    near, far = (distance / mpp for distance in _BESIDE_UM)
    labels, _ = ndimage.label(pieces, np.ones((3, 3), np.bool_))
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        box = tuple(slice(max(0, part.start - int(far) - 1), part.stop + int(far) + 1) for part in place)
        piece, total = labels[box] == number, density.total[box]
        beside = dilated(piece, far) & ~dilated(pieces[box], near) & solid[box]
        if not beside.any():
            continue
        low, high = (int(np.quantile(total[beside], share, method="lower")) for share in (0.1, 0.9))
        least = max(_BESIDE_PERCENT * high, 100 * high + _SPREAD_PERCENT * (high - low))
        if 100 * int(total[piece].sum(dtype=np.int64)) >= least * int(piece.sum()):
            kept[box] |= piece
    return kept


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
