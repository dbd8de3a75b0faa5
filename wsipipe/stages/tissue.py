"""Slide at about 8 um/px -> ``labels/tissue``: 1 tissue, 0 glass, 255 not scanned."""

import numpy as np

from wsipipe.geometry import Region
from wsipipe.stages.stage import Frame, Read, ShardInput, ShardOutput, Stage, Write
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.tiling.tissue import TissueParams, find_tissue

TISSUE_MPP = 8.0
TISSUE = "labels/tissue/0"


def tissue_downsample(mpp: float) -> int:
    """Canvas px per tissue px: the power of two that comes nearest to 8 um/px."""
    return int(2 ** max(0, round(np.log2(TISSUE_MPP / mpp))))


def tissue_stage(
    params: TissueParams, frame: Frame, shard_px: int, region: Region | None, given: bool
) -> Stage:
    """One task finds the tissue of the whole slide: glass colour is a property of the slide, not of a shard.

    Args:
        params: How tissue is told from glass.
        frame: The canvas.
        shard_px: Side of a shard of the mask.
        region: Canvas part outside of which nothing is computed; None for all.
        given: Whether a mask came with the slide and is used instead.
    """
    downsample = tissue_downsample(frame.mpp)
    names = ("given_mask", "scanned") if given else ("overview", "scanned")
    reads = tuple(Read(name, downsample) for name in names)

    def kernel(shard: ShardInput) -> ShardOutput:
        computed = shard.read("scanned").pixels.copy()
        if given:
            found = shard.read("given_mask").pixels
        else:
            found = find_tissue(shard.read("overview").pixels, computed, frame.mpp * downsample, params)
        if region is not None:
            inside = np.zeros_like(computed)
            inside[region.scaled(1, downsample).clipped(computed.shape).slices] = True
            computed &= inside
        labels = np.where(computed, found, np.uint8(NOT_COMPUTED)).astype(np.uint8)
        return ShardOutput({TISSUE: labels})

    return Stage(
        "tissue", downsample, shard_px, reads, (Write(TISSUE, "uint8", NOT_COMPUTED),), kernel, whole=True
    )
