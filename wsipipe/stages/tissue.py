"""Stage tissue: a mask at about 8 um/px.

``labels/tissue`` is 1 in tissue, 0 on glass, and 255 where nothing was scanned.
"""

import numpy as np

from wsipipe.geometry import Region
from wsipipe.stages.grid import CanvasGrid, tissue_downsample
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.store.ome_metadata import LabelClass
from wsipipe.tiling.tissue_params import TissueParams

TISSUE = "labels/tissue/0"
LEGEND = (LabelClass(1, "tissue", (255, 200, 0)),)


def tissue_stage(
    params: TissueParams, grid: CanvasGrid, shard_px: int, region: Region | None, given: bool
) -> Stage:
    """Declare the stage that finds the tissue of a slide.

    One task handles the whole slide, since the colour of glass is a property of the slide, not of a shard.

    Args:
        params: Parameters of tissue detection.
        grid: The canvas.
        shard_px: Side of a shard of the mask.
        region: Part of the canvas that is computed; None for all.
        given: Whether a mask came with the slide and replaces the detection.
    """
    downsample = tissue_downsample(grid.mpp)
    names = ("given_mask", "scanned") if given else ("overview", "scanned")
    reads = tuple(Read(name, downsample) for name in names)

    def kernel(shard: ShardInput) -> ShardOutput:
        computed = shard.read("scanned").pixels.copy()
        if given:
            found = shard.read("given_mask").pixels
        else:
            # scipy takes as long to import as everything else; only the task that finds tissue needs it.
            from wsipipe.tiling.tissue import find_tissue

            found = find_tissue(shard.read("overview").pixels, computed, grid.mpp * downsample, params)
        if region is not None:
            inside = np.zeros_like(computed)
            inside[region.scaled(1, downsample).clipped(computed.shape).slices] = True
            computed &= inside
        labels = np.where(computed, found, np.uint8(NOT_COMPUTED)).astype(np.uint8)
        return ShardOutput({TISSUE: labels})

    write = Write(TISSUE, "label", "uint8", NOT_COMPUTED, legend=LEGEND)
    return Stage("tissue", downsample, shard_px, reads, (write,), kernel, single_task=True)
