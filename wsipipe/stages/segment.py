"""Image and tissue -> ``probabilities/nucleus`` and ``probabilities/centre``, uint8, by a U-Net."""

from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from wsipipe.geometry import Array, Region
from wsipipe.models.cards.card import ModelCard
from wsipipe.stages.grid import model_level
from wsipipe.stages.stage import Frame, Read, ShardInput, ShardOutput, Stage, Write, upsampled
from wsipipe.stages.stain import STAIN, restained
from wsipipe.stages.tile import image_name
from wsipipe.stages.tissue import TISSUE, tissue_downsample
from wsipipe.store.encoding import NOT_COMPUTED, quantise


class SegmentParams(BaseModel):
    """How nuclei are found.

    Attributes:
        weights: Name of shipped weights, or path of a ``.safetensors`` file with its card.
        precision: ``auto`` (bfloat16 where the processor has it), ``float32``, ``bfloat16``, ``float64``.
        patch_px: Core of one pass of the network; bounds memory, never changes the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = "nuclei_gmr_unet_0.5"
    precision: str = Field(default="auto", pattern="^(auto|float32|bfloat16|float64)$")
    patch_px: int = Field(default=1024, ge=64, le=4096, multiple_of=64)


def probability_name(output: str) -> str:
    """Name of the array with one output of the network."""
    return f"probabilities/{output}/0"


def blocks(core: Region, side_px: int, wanted: Array, unit: int) -> Iterator[Region]:
    """Squares of ``side_px`` of ``core`` that hold anything ``wanted`` (a mask of cells of ``unit`` px)."""
    for y in range(core.y, core.end_y, side_px):
        for x in range(core.x, core.end_x, side_px):
            block = Region(y, x, side_px, side_px).relative_to(core).clipped(core.shape)
            if wanted[block.scaled(1, unit).slices].any():
                yield block


def segment_stage(params: SegmentParams, card: ModelCard, frame: Frame, shard_px: int) -> Stage:
    """Probabilities in tissue, 255 (not computed) elsewhere, whatever the shard: tiling changes nothing.

    The canvas is a multiple of the lattice and lies on an endless white plane; patches start on the lattice
    and carry the network's whole reach as halo. See docs/exactness.md.
    """
    level = model_level(card, frame.mpp, "segment")
    downsample = 1 << level
    image = image_name(level)
    unit = tissue_downsample(frame.mpp) // downsample
    halo = card.halo_px
    reads = (
        Read(image, downsample, halo, outside=255),
        Read(TISSUE, tissue_downsample(frame.mpp), outside=NOT_COMPUTED),
    )
    names = [probability_name(output) for output in card.output_names]

    def kernel(shard: ShardInput) -> ShardOutput:
        in_tissue = shard.read(TISSUE).pixels == 1
        outputs = {name: np.full(shard.core.shape, NOT_COMPUTED, np.uint8) for name in names}
        if not in_tissue.any():
            return ShardOutput(outputs, effort="low")
        pixels = shard.read(image).pixels
        table = shard.tables[STAIN]["lookup"] if card.stain_reference else None
        for block in blocks(shard.core, params.patch_px, in_tissue, unit):
            patch = pixels[block.y : block.end_y + 2 * halo, block.x : block.end_x + 2 * halo]
            patch = patch if table is None else restained(patch, table)
            maps = quantise(shard.model(patch)[:, halo : halo + block.height, halo : halo + block.width])
            inside = upsampled(in_tissue[block.scaled(1, unit).slices], unit)
            for name, values in zip(names, maps, strict=True):
                outputs[name][block.slices] = np.where(inside, values, np.uint8(NOT_COMPUTED))
        return ShardOutput(outputs)

    writes = tuple(Write(name, "uint8", NOT_COMPUTED) for name in names)
    return Stage("segment", downsample, shard_px, reads, writes, kernel, weights=params.weights)
