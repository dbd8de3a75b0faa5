"""Measure focus by cells of about 8 um, from integers.

The measure is the energy of a Laplacian, normalised by the variance of the grey level around it, so that it
does not depend on how strongly the tissue is stained. Energy and variance of the Laplacian are LAPE and LAPV
of Pertuz et al. 2013, doi:10.1016/j.patcog.2012.11.011. Sums are whole numbers and the filter has the
symmetry of the square, so scores commute with the eight orientations and do not depend on shards.
"""

import numpy as np

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Array

WINDOW_HALF_CELLS = 2
"""A score is measured over 5 x 5 cells, 40 um: enough for some nuclei and their surroundings."""
MARGIN_PX = 4
"""Context of the image beyond the cells, px: one px of the coarse scale."""
COARSE_PX = 4
LEAST_CONTRAST = 4
"""Standard deviation (grey levels of 256) below which there is nothing to focus on."""
NOISE_ENERGY = 10
"""Squared Laplacian of a pixel that noise of a standard deviation of 0.7 grey levels has (20 times 0.5)."""
STEPS_PER_OCTAVE, LOWEST = 16, 2.0**-10
LEVELS = LOWEST * 2.0 ** (np.arange(250) / STEPS_PER_OCTAVE)
"""Upper limits of the scores 1 to 250, as ratios of energy and variance."""
_BAND_CELLS = 4


def focus_scores(rgb: Array, tissue: Array, cell_px: int) -> tuple[Array, Array]:
    """Return the scores of focus at two scales.

    Args:
        rgb: RGB (H, W, 3) uint8 of the cells and ``MARGIN_PX`` on each side.
        tissue: Cells in tissue, (h, w) bool; others are not measured and have no effect.
        cell_px: Side of a cell, px; a multiple of ``COARSE_PX``.

    Returns:
        Scores (h - 4, w - 4) uint8 at the scale of the pixels and at one four times as coarse; see
        :func:`ratio_of`. 0 outside tissue and where there is too little contrast.
    """
    height, width = tissue.shape
    sums = np.zeros((2, 3, height, width), np.int64)
    for row in range(0, height, _BAND_CELLS):
        rows = slice(row, row + _BAND_CELLS)
        columns = np.flatnonzero(tissue[rows].any(axis=0))
        if not columns.size:
            continue
        first, end, count = int(columns[0]), int(columns[-1]) + 1, len(tissue[rows])
        y, x = row * cell_px, first * cell_px
        band = rgb[y : y + count * cell_px + 2 * MARGIN_PX, x : x + (end - first) * cell_px + 2 * MARGIN_PX]
        grey = grey_of(band)
        inner = MARGIN_PX - 1
        sums[0, :, rows, first:end] = _cell_sums(grey[inner:-inner, inner:-inner], cell_px)
        sums[1, :, rows, first:end] = _cell_sums(block_mean(grey, COARSE_PX), cell_px // COARSE_PX)
    sums *= tissue
    counts = tissue * np.int64(cell_px**2)
    fine = _scores(sums[0], counts, NOISE_ENERGY)
    return fine, _scores(sums[1], counts // COARSE_PX**2, 0)


def ratio_of(score: float) -> float:
    """Return the upper limit of a score (1 to 250) as a ratio."""
    return float(LOWEST * 2.0 ** ((score - 1) / STEPS_PER_OCTAVE))


def score_of(ratio: float) -> int:
    """Return the score of a ratio of energy and variance."""
    return 1 + int(np.searchsorted(LEVELS[:-1], ratio))


def grey_of(rgb: Array) -> Array:
    """Return (red + 2 green + blue) / 4, uint8."""
    total = rgb[..., 1].astype(np.uint16)
    total <<= 1
    total += rgb[..., 0]
    total += rgb[..., 2]
    total >>= 2
    return total.astype(np.uint8)


def _cell_sums(grey: Array, cell_px: int) -> Array:
    """Return sums of grey, its square and the squared Laplacian, (3, h, w) int64, of cells.

    Args:
        grey: (h * cell_px + 2, w * cell_px + 2) uint8.
        cell_px: Side of a cell, px.
    """
    wide = grey.astype(np.int16)
    inner = wide[1:-1, 1:-1]
    # Opposite neighbours first is not needed: sums of integers have no order.
    laplacian = 4 * inner - wide[:-2, 1:-1] - wide[2:, 1:-1] - wide[1:-1, :-2] - wide[1:-1, 2:]
    squares = [np.square(inner, dtype=np.int32), np.square(laplacian, dtype=np.int32)]
    return np.stack([_by_cell(each, cell_px) for each in (inner, *squares)])


def _by_cell(values: Array, cell_px: int) -> Array:
    """Return sums of cells, int64; those of rows first, which numpy adds fast."""
    height, width = values.shape[0] // cell_px, values.shape[1] // cell_px
    rows = values.reshape(height, cell_px, -1).sum(axis=1, dtype=np.int32)
    return rows.reshape(height, width, cell_px).sum(axis=2, dtype=np.int64)


def _scores(sums: Array, counts: Array, noise: int) -> Array:
    """Return scores (h - 4, w - 4) uint8 of windows.

    Args:
        sums: Sums of grey, its square and the squared Laplacian, (3, h, w) int64.
        counts: Pixels of each cell that were measured, (h, w) int64.
        noise: Energy of noise in a pixel.
    """
    total, square, energy = (_windows(each) for each in sums)
    number = _windows(counts)
    variance = number * square - total**2  # of grey, times number squared
    measured = (variance >= LEAST_CONTRAST**2 * number**2) & (number > 0)
    centre = slice(WINDOW_HALF_CELLS, -WINDOW_HALF_CELLS)
    measured &= counts[centre, centre] > 0
    # One division rounds each score alike wherever its cell lies.
    ratio = number * np.maximum(energy - noise * number, 0) / np.maximum(variance, 1)
    return np.where(measured, 1 + np.searchsorted(LEVELS[:-1], ratio), 0).astype(np.uint8)


def _windows(values: Array) -> Array:
    """Return sums over 5 x 5, (h - 4, w - 4)."""
    side = 2 * WINDOW_HALF_CELLS + 1
    for axis in (0, 1):
        length = values.shape[axis] - side + 1
        parts = [np.take(values, range(start, start + length), axis=axis) for start in range(side)]
        values = np.sum(parts, axis=0)
    return values
