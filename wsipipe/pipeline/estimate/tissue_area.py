"""Tissue of a slide that is planned but not computed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from wsipipe.geometry import Region
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.stages.stage import Patch, ShardInput
from wsipipe.stages.tissue import TISSUE


@dataclass(frozen=True)
class TissueArea:
    """Tissue of a slide.

    Attributes:
        tissue_px: Canvas px with tissue.
        canvas_px: Canvas px to compute, glass included.
        densest: Square with the most tissue, in canvas px.
        tissue_mm2: Area of the tissue.
    """

    tissue_px: int
    canvas_px: int
    densest: Region
    tissue_mm2: float


def tissue_area(plan: Plan, side_px: int) -> TissueArea:
    """Find the tissue of a slide, as the stage tissue does.

    Args:
        plan: Plan of the slide.
        side_px: Side of the square with the most tissue, canvas px.

    Raises:
        SlideError: The slide does not open, or a tile does not decode.
    """
    (stage,) = [stage for stage in plan.stages if TISSUE in {write.name for write in stage.writes}]
    grid = plan.facts.grid
    core = stage.core(grid, (0, 0))
    declared = {read.name: read for read in stage.reads}
    with ShardInputs(plan, Path()) as inputs:

        def read(name: str, around: Region | None = None) -> Patch:
            return inputs.read(declared[name], stage.patch_region(declared[name], around or core))

        labels = stage.kernel(ShardInput((0, 0), core, read)).arrays[TISSUE]
    tissue = labels == 1
    tissue_px = int(tissue.sum()) * stage.downsample**2
    densest = _densest(tissue, max(1, side_px // stage.downsample)).scaled(stage.downsample)
    computed = plan.region.area_px if plan.region else grid.shape[0] * grid.shape[1]
    return TissueArea(tissue_px, computed, densest.clipped(grid.shape), tissue_px * grid.mpp**2 / 1e6)


def _densest(tissue: np.ndarray, side: int) -> Region:
    """Return the square of a mask with the most tissue; the first of equal ones."""
    height, width = (min(side, extent) for extent in tissue.shape)
    share = ndimage.uniform_filter(tissue.astype(np.float32), (height, width), mode="constant")
    y, x = np.unravel_index(int(share.argmax()), share.shape)
    top = min(max(int(y) - height // 2, 0), tissue.shape[0] - height)
    left = min(max(int(x) - width // 2, 0), tissue.shape[1] - width)
    return Region(top, left, height, width)
