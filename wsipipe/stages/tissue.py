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

TISSUE, TISSUE_FOUND = "labels/tissue/0", "scratch/tissue_found"
OVERVIEW = "scratch/overview"
"""RGB that tissue was found in, for later stages: (3, y, x), white where nothing was scanned."""
REGION_MARGIN_UM = 32.0
LEGEND = (LabelClass(1, "tissue", (255, 200, 0)),)


def tissue_stage(
    params: TissueParams,
    grid: CanvasGrid,
    shard_px: int,
    region: Region | None,
    given: bool,
    name: str = TISSUE,
    keep_overview: bool = False,
) -> Stage:
    """Declare the stage that finds the tissue of a slide.

    One task handles the whole slide, since the colour of glass is a property of the slide, not of a shard.

    Args:
        params: Parameters of tissue detection.
        grid: The canvas.
        shard_px: Side of a shard of the mask.
        region: Part of the canvas that is computed; None for all.
        given: Whether a mask came with the slide and replaces the detection.
        name: Name of the array; another than the published one where a later stage changes the tissue.
        keep_overview: Whether the overview is written for later stages.
    """
    downsample = tissue_downsample(grid.mpp)
    names: tuple[str, ...] = ("given_mask", "scanned") if given else ("overview", "scanned")
    names += ("overview",) if given and keep_overview else ()
    names += ("regions",) if params.only_regions else ()
    reads = tuple(Read(each, downsample) for each in names)

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
        if params.only_regions:
            # Without a margin, nuclei on the outline of a region would be cut.
            from wsipipe.tiling.morphology import dilated

            near = dilated(shard.read("regions").pixels, REGION_MARGIN_UM / (grid.mpp * downsample))
            computed &= near
        labels = np.where(computed, found, np.uint8(NOT_COMPUTED)).astype(np.uint8)
        arrays = {name: labels}
        if keep_overview:
            arrays[OVERVIEW] = np.moveaxis(shard.read("overview").pixels, 2, 0)
        return ShardOutput(arrays)

    writes: tuple[Write, ...] = (tissue_write(name),)
    if keep_overview:
        writes += (Write(OVERVIEW, "scratch", "uint8", 255, ("red", "green", "blue")),)
    return Stage("tissue", downsample, shard_px, reads, writes, kernel, single_task=True)


def tissue_write(name: str) -> Write:
    """Declare an array of tissue, published or not."""
    if name == TISSUE:
        return Write(name, "label", "uint8", NOT_COMPUTED, legend=LEGEND, polygons=True)
    return Write(name, "scratch", "uint8", NOT_COMPUTED)
