"""Map the density of nuclei smoothly, per mm2 of tissue."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from wsipipe.geometry import Array
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.panel_marks import colours_of
from wsipipe.stages.tissue import TISSUE

SMOOTHING_UM = 64.0
"""Standard deviation of the smoothing."""
CELL_UM = 16.0
"""Least side of the cells in which nuclei are counted."""
MOST_CELLS = 512
"""Most cells along a side of the map."""
LEAST_SHARE = 0.5
"""Least share of tissue around a cell whose density limits the scale."""
_OPACITY = 200


@dataclass(frozen=True)
class DensityMap:
    """Density of nuclei on a grid of cells.

    Attributes:
        values: Nuclei per mm2 of tissue (h, w).
        tissue: Share of tissue in each cell (h, w), 0 to 1.
        most: Upper end of the scale, nuclei per mm2.
        cell_px: Side of a cell, canvas px.
        smoothing_um: Standard deviation of the smoothing, um.
    """

    values: Array
    tissue: Array
    most: float
    cell_px: int
    smoothing_um: float

    def pixels(self) -> Array:
        """Return the map as RGBA (h, w, 4) uint8, transparent outside the tissue."""
        colours = colours_of(self.values / self.most)
        return np.dstack([colours, np.rint(_OPACITY * self.tissue).astype(np.uint8)])

    def shares(self, shape: tuple[int, int], canvas: tuple[int, int]) -> Array:
        """Return shares of ``most`` (h, w) float32 on a picture of the slide.

        Args:
            shape: (height, width) of the picture.
            canvas: (height, width) of the slide, canvas px; the last cells may reach beyond it.
        """
        picture = Image.fromarray((self.values / self.most).astype(np.float32))
        box = (0, 0, canvas[1] / self.cell_px, canvas[0] / self.cell_px)
        return np.asarray(picture.resize(shape[::-1], Image.Resampling.BILINEAR, box))


def density_map(plan: Plan, inputs: ShardInputs, table: Path) -> DensityMap | None:
    """Return the density of nuclei, smoothed by a Gaussian; None without nuclei in tissue.

    The density is the smoothed number of nuclei over the smoothed area of tissue, so that it does not fall
    towards the edge of the tissue.

    Args:
        plan: Plan of the slide.
        inputs: Finished arrays of the slide.
        table: The nuclei table.
    """
    from scipy.ndimage import gaussian_filter

    grid, tissue_px = plan.facts.grid, plan.downsample(TISSUE)
    cell_px = tissue_px
    while cell_px * grid.mpp < CELL_UM or max(grid.shape_at(cell_px)) > MOST_CELLS:
        cell_px *= 2
    cell_um = cell_px * grid.mpp
    smoothing_um = max(SMOOTHING_UM, cell_um)
    counts = _nuclei_by_cell(plan, table, cell_px)
    share = _tissue_by_cell(inputs.array(TISSUE), cell_px // tissue_px)
    around, tissue = (
        gaussian_filter(each, smoothing_um / cell_um, mode="constant") for each in (counts, share)
    )
    values = around / np.maximum(tissue, 1e-6) / (cell_um / 1000) ** 2
    judged = values[tissue >= min(LEAST_SHARE, float(tissue.max()))]
    if not counts.any() or not judged.max() > 0:
        return None
    return DensityMap(values, share, rounded_up(float(judged.max())), cell_px, smoothing_um)


def rounded_up(value: float) -> float:
    """Return the next value of two digits, as 4,700 for 4,613."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step - 1e-9) * step


def _nuclei_by_cell(plan: Plan, table: Path, cell_px: int) -> Array:
    grid = plan.facts.grid
    shape = grid.shape_at(cell_px)
    names = [f"centroid_{axis}_px0" for axis in "yx"]
    found = pq.read_table(table, columns=names)
    cells = [
        np.clip(((found[name].to_numpy() - offset) / (grid.step_px0 * cell_px)).astype(int), 0, side - 1)
        for name, offset, side in zip(names, grid.offset_px0, shape, strict=True)
    ]
    flat = np.bincount(cells[0] * shape[1] + cells[1], minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(np.float64)


def _tissue_by_cell(labels: Array, factor: int) -> Array:
    """Return the share of tissue in each cell of ``factor`` px, read in bands."""
    height, width = (-(-side // factor) for side in labels.shape)
    share, rows = np.zeros((height, width)), max(1, 512 // factor)
    for row in range(0, height, rows):
        band = np.asarray(labels[row * factor : (row + rows) * factor]) == 1
        count = min(rows, height - row)
        padded = np.zeros((count * factor, width * factor), bool)
        padded[: band.shape[0], : band.shape[1]] = band
        share[row : row + count] = padded.reshape(count, factor, width, factor).mean((1, 3))
    return share
