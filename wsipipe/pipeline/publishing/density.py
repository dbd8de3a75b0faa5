"""Density of nuclei as a smooth map."""

import math

import numpy as np
from PIL import Image

from wsipipe.geometry import Array

SMOOTHED_UM = 50.0
"""Standard deviation of the smoothing, at least; on large slides it is that of one and a half cells."""
CELL_UM = 16.0
MOST_CELLS = 512
_LEAST_CELLS_SD, _REACH_SD = 1.5, 3


def density_map(y: Array, x: Array, shape: tuple[int, int], mpp: float, size: tuple[int, int]) -> Array:
    """Return nuclei per mm2, smoothed by a Gaussian that ends at the edges of the slide.

    Args:
        y: Rows (n,) of the nuclei.
        x: Columns (n,) of the nuclei.
        shape: (height, width) of the slide in the px of the rows and columns.
        mpp: Um per px.
        size: (height, width) of the map.

    Returns:
        The map (height, width) float.
    """
    cell_um = max(CELL_UM, max(shape) * mpp / MOST_CELLS)
    cell_px = cell_um / mpp
    cells = [math.ceil(side / cell_px) for side in shape]
    row, column = ((at / cell_px).astype(int) for at in (y, x))
    counts = np.bincount(row * cells[1] + column, minlength=cells[0] * cells[1]).reshape(cells).astype(float)
    sd = max(SMOOTHED_UM / cell_um, _LEAST_CELLS_SD)
    # The last cells may reach beyond the slide.
    rows, columns = (
        np.minimum(1, side / cell_px - np.arange(n)) for side, n in zip(shape, cells, strict=True)
    )
    smooth = _smoothed(_smoothed(counts, rows, sd).T, columns, sd).T / (cell_um / 1000) ** 2
    picture = Image.fromarray(smooth.astype(np.float32))
    box = (0, 0, shape[1] / cell_px, shape[0] / cell_px)
    return np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR, box))


def _smoothed(counts: Array, covered: Array, sd: float) -> Array:
    """Return counts per cell along axis 0, smoothed inside the array only.

    Args:
        counts: Counts (n, m).
        covered: Share (n,) of each cell that is inside the slide.
        sd: Standard deviation in cells.
    """
    reach = min(math.ceil(_REACH_SD * sd), len(counts) - 1)
    total, weights = np.zeros_like(counts), np.zeros(len(counts))
    for by in range(-reach, reach + 1):
        weight = math.exp(-0.5 * (by / sd) ** 2)
        start, stop = max(0, -by), len(counts) - max(0, by)
        total[start:stop] += weight * counts[start + by : stop + by]
        weights[start:stop] += weight * covered[start + by : stop + by]
    return total / weights[:, None]
