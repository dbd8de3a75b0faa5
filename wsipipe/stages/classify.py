"""Image and tissue -> ``probabilities/tissue_class`` (class, y, x), ``labels/tissue_class``, coarse."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from wsipipe.geometry import Array, Region
from wsipipe.models.cards.card import ModelCard, Output
from wsipipe.stages.grid import model_level
from wsipipe.stages.segment import blocks
from wsipipe.stages.stage import Frame, Read, ShardInput, ShardOutput, Stage, Write, upsampled
from wsipipe.stages.tile import image_name
from wsipipe.stages.tissue import TISSUE, tissue_downsample
from wsipipe.store.encoding import NOT_COMPUTED, quantise

CLASS_MAP = "labels/tissue_class/0"
CLASS_PROBABILITIES = "probabilities/tissue_class/0"
UNKNOWN = Output(name="unknown", description="unlike what was learnt", color=(128, 128, 128))


class ClassifyParams(BaseModel):
    """How tissue is classified.

    Attributes:
        weights: Name of shipped weights, or path of a ``.safetensors`` file with its card.
        precision: ``auto`` (bfloat16 where the processor has it), ``float32``, ``bfloat16``, ``float64``.
        shard_cells: Side of a task's core in cells of the class grid (16 px of the network's image each).
        patch_cells: Core of one pass of the network, in cells; bounds memory, never changes the result.
        unknown: Give cells whose features lie beyond what was learnt the class ``unknown``, where the card of
            the weights says what is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = "tissue_gmr_resnet18_1.0"
    precision: str = Field(default="auto", pattern="^(auto|float32|bfloat16|float64)$")
    shard_cells: int = Field(default=64, ge=4, le=1024)
    patch_cells: int = Field(default=64, ge=1, le=256)
    unknown: bool = True


def class_outputs(card: ModelCard, params: ClassifyParams) -> tuple[Output, ...]:
    """Names and colours of the class map's values 0, 1, ...: the network's classes, then ``unknown``."""
    return (*card.outputs, UNKNOWN) if says_unknown(card, params) else card.outputs


def says_unknown(card: ModelCard, params: ClassifyParams) -> bool:
    """Whether the class map holds ``unknown``, whose value is the number of the network's classes."""
    return params.unknown and card.known is not None


def cells_with_tissue(tissue: Array, cells_per_px: tuple[int, int]) -> Array:
    """Tissue mask (bool) -> mask of class cells that touch tissue.

    Args:
        tissue: Mask on the tissue grid, whole cells.
        cells_per_px: (canvas px per cell, canvas px per tissue px); one divides the other.
    """
    cell, px = cells_per_px
    if cell <= px:
        return upsampled(tissue, px // cell)
    factor = cell // px
    height, width = tissue.shape[0] // factor, tissue.shape[1] // factor
    return tissue.reshape(height, factor, width, factor).any(axis=(1, 3))


def classify_stage(params: ClassifyParams, card: ModelCard, frame: Frame) -> Stage:
    """One dense fully convolutional pass; the class map is the most probable class, only in tissue.

    Ties go to the class listed first, on quantised probabilities, so that a turned slide decides alike.
    Cells whose features lie beyond what was learnt are ``unknown``; their probabilities are stored as others.
    """
    level = model_level(card, frame.mpp, "classify")
    stride = card.stride
    downsample = stride << level
    image = image_name(level)
    tissue_px = tissue_downsample(frame.mpp)
    halo_cells = -(-card.halo_px // stride)
    halo = halo_cells * stride
    asks = says_unknown(card, params)
    reads = (
        Read(image, 1 << level, halo, outside=255),
        Read(TISSUE, tissue_px, outside=NOT_COMPUTED),
    )

    def kernel(shard: ShardInput) -> ShardOutput:
        wanted = cells_with_tissue(shard.read(TISSUE).pixels == 1, (downsample, tissue_px))
        probabilities = np.full((len(card.outputs), *shard.core.shape), NOT_COMPUTED, np.uint8)
        unknown = np.zeros(shard.core.shape, bool)
        if wanted.any():
            pixels = shard.read(image).pixels
            for block in blocks(shard.core, params.patch_cells, wanted, 1):
                px = block.scaled(stride).grown(halo)
                patch = pixels[px.y + halo : px.end_y + halo, px.x + halo : px.end_x + halo]
                centre = Region(halo_cells, halo_cells, *block.shape)
                if asks:
                    found, beyond = shard.model.with_unknown(patch)
                    unknown[block.slices] = beyond[centre.slices]
                else:
                    found = shard.model(patch)
                maps = quantise(found[:, *centre.slices])
                inside = wanted[block.slices]
                probabilities[:, *block.slices] = np.where(inside, maps, np.uint8(NOT_COMPUTED))
        best = np.where(unknown, len(card.outputs), probabilities.argmax(axis=0))
        classes = np.where(wanted, best, NOT_COMPUTED).astype(np.uint8)
        return ShardOutput({CLASS_PROBABILITIES: probabilities, CLASS_MAP: classes})

    writes = (
        Write(CLASS_PROBABILITIES, "uint8", NOT_COMPUTED, tuple(card.output_names)),
        Write(CLASS_MAP, "uint8", NOT_COMPUTED),
    )
    return Stage("classify", downsample, params.shard_cells, reads, writes, kernel, weights=params.weights)
