"""Measure the strength of compression blocks.

JPEG codes squares of 8 px alone, so that strong compression leaves steps between them. Steps of grey
between neighbouring pixels are added up by their position within 8 px. Sums are whole numbers over pairs that
both lie in tissue, so the number is the same in the eight orientations and for all shards.

Source: the blocking effect of Wang, Bovik and Evans, "Blind measurement of blocking artifacts in images",
ICIP 2000, measured in space rather than by its spectrum.
"""

import numpy as np

from wsipipe.geometry import Array
from wsipipe.store.tables import Table

SIDE_PX = 8


def block_sums(grey: Array, tissue: Array, cell_px: int) -> Table:
    """Add up the steps between neighbouring pixels.

    Args:
        grey: Grey levels of the cells, with one px above and to the left; (h * cell_px + 1, w * cell_px + 1)
            uint8.
        tissue: Cells in tissue, with one cell above and to the left; (h + 1, w + 1) bool.
        cell_px: Side of a cell, px; a multiple of 8.

    Returns:
        ``steps`` and ``pairs``, (2, 8) int64 by axis and position: sums of steps, and their number.
    """
    wide = grey.astype(np.int16)
    across = _line_sums(wide[1:], tissue[1:], cell_px), _line_sums(wide[:, 1:].T, tissue[:, 1:].T, cell_px)
    steps, pairs = (np.stack(each) for each in zip(*across, strict=True))
    return {"steps": steps, "pairs": pairs}


def blockiness(sums: Table) -> Table:
    """Return the strength of blocks, ``blockiness``.

    It is the largest excess of the mean step at one position over the median of the eight: 0 without blocks.

    Args:
        sums: ``steps`` and ``pairs`` of all shards, see :func:`block_sums`.

    Returns:
        float64 by name; empty where nothing was measured.
    """
    if not sums or not sums["pairs"].all():
        return {}
    means = np.sort(sums["steps"] / sums["pairs"], axis=1)
    median = (means[:, SIDE_PX // 2 - 1] + means[:, SIDE_PX // 2]) / 2
    if not median.all():
        return {}
    strength = np.asarray((means[:, -1] / median - 1).max())
    return {"blockiness": strength}


def _line_sums(grey: Array, tissue: Array, cell_px: int) -> tuple[Array, Array]:
    """Return sums and number (8,) int64 of the steps along rows.

    Args:
        grey: (h * cell_px, w * cell_px + 1) int16.
        tissue: (h, w + 1) bool.
        cell_px: Side of a cell, px.
    """
    height, width = tissue.shape[0], tissue.shape[1] - 1
    steps = np.abs(np.diff(grey, axis=1)).reshape(height, cell_px, -1).sum(axis=1, dtype=np.int32)
    counted = np.repeat(tissue[:, 1:, None], cell_px, axis=2)
    # The first step of a cell begins in the cell before.
    counted[:, :, 0] &= tissue[:, :-1]
    kept = np.where(counted, steps.reshape(height, width, cell_px), 0)
    sums, pairs = kept.sum(axis=(0, 1), dtype=np.int64), counted.sum(axis=(0, 1)) * cell_px
    return sums.reshape(-1, SIDE_PX).sum(axis=0), pairs.reshape(-1, SIDE_PX).sum(axis=0)
