"""Stage classify: tissue classes on a coarse grid.

It reads image and tissue, and writes ``probabilities/tissue_class`` (class, y, x) and
``labels/tissue_class``.
"""

from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from wsipipe.common.colours import UNKNOWN
from wsipipe.geometry import Array
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import check_known
from wsipipe.stages.grid import CanvasGrid, network_level, tissue_downsample
from wsipipe.stages.passes import PassSizes, passes
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write, upsampled
from wsipipe.stages.stage_params import NetworkParams
from wsipipe.stages.tile import image_name
from wsipipe.stages.tissue import TISSUE
from wsipipe.stages.windows import windows_of
from wsipipe.store.encoding import NOT_COMPUTED, quantise
from wsipipe.store.ome_metadata import LabelClass

CLASS_MAP = "labels/tissue_class/0"
CLASS_PROBABILITIES = "probabilities/tissue_class/0"
_PASS_BYTES = 250 << 20
SMALL_SHARD_CELLS = 64
FEWEST_SHARDS = 4
_EVEN_CELLS = 16


class ClassifyParams(NetworkParams):
    """Parameters of tissue classification.

    Attributes:
        weights: Name of shipped weights, or path of a ``.safetensors`` or ``.onnx`` file with its card.
        precision: ``auto`` (bfloat16 where the processor has it), ``float32``, ``bfloat16``, ``float64``.
        shard_cells: Largest side of a task's core in cells of the class grid (16 px of the network's image
            each); slides of few cells get smaller ones, see :func:`shard_side`.
        patch_cells: Side of the core of one pass, in cells; bounds memory, never changes the result.
        unknown: Whether cells with features unlike the training data get the class ``unknown``, where the
            card of the weights has the features of its training data.
    """

    patch_key: ClassVar[str] = "patch_cells"

    weights: str = "tissue_gmr_resnet18_1.0"
    shard_cells: int = Field(default=384, ge=4, le=1024)
    patch_cells: int = Field(default=64, ge=1, le=256)
    unknown: bool = True

    @property
    def finds_unknown(self) -> bool:
        """Whether the network reports tissue that is unlike its training data."""
        return self.unknown

    @property
    def pass_bytes(self) -> int:
        """Memory of one pass of the network, estimated from above."""
        return _PASS_BYTES

    def check_card(self, card: ModelCard) -> None:
        """Check that ``unknown`` has the features it needs.

        Raises:
            ModelError: The card names a file of features that is missing or damaged.
        """
        if self.unknown:
            check_known(self.weights, card)

    def with_smaller_patches(self, times: int) -> Self:
        """Return the parameters with patches halved ``times`` times, as far as possible."""
        return self.model_copy(update={"patch_cells": max(1, self.patch_cells >> times)})

    def fitted_to(self, shard_px: int) -> Self:
        """Return the parameters with small shards, since memory is short."""
        return self.model_copy(update={"shard_cells": min(self.shard_cells, SMALL_SHARD_CELLS)})


def shard_side(most_cells: int, shape: tuple[int, int]) -> int:
    """Return the side of shards in cells.

    Every shard computes the network's context around it again, so large shards cost less. They are as large
    as allowed, but cut evenly and not so few that workers would wait.

    Args:
        most_cells: Largest side.
        shape: Rows and columns of cells of the slide.
    """
    parts, side = 1, most_cells + 1
    while side > SMALL_SHARD_CELLS:
        side = -(-max(shape) // (parts * _EVEN_CELLS)) * _EVEN_CELLS
        shards = -(-shape[0] // side) * -(-shape[1] // side)
        if side <= most_cells and shards >= FEWEST_SHARDS:
            break
        parts += 1
    return min(most_cells, max(side, SMALL_SHARD_CELLS))


def has_unknown(card: ModelCard, params: ClassifyParams) -> bool:
    """Return whether the class map has the class ``unknown``.

    Its value is the number of the network's classes.
    """
    return params.unknown and card.known is not None


def class_legend(card: ModelCard, params: ClassifyParams) -> tuple[LabelClass, ...]:
    """Return names and colours of the network's classes and ``unknown``."""
    classes = [LabelClass(value, output.name, output.color) for value, output in enumerate(card.outputs)]
    if has_unknown(card, params):
        classes.append(LabelClass(len(classes), "unknown", UNKNOWN))
    return tuple(classes)


def cells_with_tissue(tissue: Array, cells_per_px: tuple[int, int]) -> Array:
    """Return the mask of class cells that touch tissue.

    Args:
        tissue: Mask (bool) on the tissue grid, whole cells.
        cells_per_px: (canvas px per cell, canvas px per tissue px); one divides the other.
    """
    cell, px = cells_per_px
    if cell <= px:
        return upsampled(tissue, px // cell)
    factor = cell // px
    height, width = tissue.shape[0] // factor, tissue.shape[1] // factor
    return tissue.reshape(height, factor, width, factor).any(axis=(1, 3))


def classify_stage(params: ClassifyParams, card: ModelCard, grid: CanvasGrid) -> Stage:
    """Declare the stage that classifies tissue.

    One dense, fully convolutional pass gives the probabilities. The class map has the most probable class,
    only in tissue. Ties go to the class listed first, on quantised probabilities, so that the result does not
    depend on the orientation. Cells with features unlike the training data are ``unknown``; their
    probabilities are stored like all others.
    """
    level = network_level(card, grid.mpp, "classify")
    stride = card.stride
    downsample = stride << level
    image = image_name(level)
    tissue_px = tissue_downsample(grid.mpp)
    windows = windows_of(card, grid.shape_at(1 << level))
    halo = -(-card.halo_px // stride) * stride if windows is None else windows.context_px
    sizes = PassSizes(stride, halo, params.patch_cells * stride, stride, windows)
    unknown_wanted = has_unknown(card, params)
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
            core = shard.core.scaled(stride)
            for found in passes(shard.network, pixels, wanted, sizes, unknown_wanted, core):
                part = found.region.slices
                maps = quantise(found.probabilities)
                probabilities[:, *part] = np.where(wanted[part], maps, np.uint8(NOT_COMPUTED))
                if found.unknown is not None:
                    unknown[part] = found.unknown
        best = np.where(unknown, len(card.outputs), probabilities.argmax(axis=0))
        classes = np.where(wanted, best, NOT_COMPUTED).astype(np.uint8)
        return ShardOutput({CLASS_PROBABILITIES: probabilities, CLASS_MAP: classes})

    legend = class_legend(card, params)
    unknown_value = len(card.outputs) if unknown_wanted else None
    about = {"organ": card.organ, "stain": card.stain, "weights": card.name, "unknown": unknown_value}
    writes = (
        Write(
            CLASS_PROBABILITIES,
            "probability",
            "uint8",
            NOT_COMPUTED,
            tuple(card.output_names),
            legend=legend[: len(card.outputs)],
        ),
        Write(CLASS_MAP, "label", "uint8", NOT_COMPUTED, legend=legend, about=about, polygons=True),
    )
    side = shard_side(params.shard_cells, grid.shape_at(downsample))
    return Stage("classify", downsample, side, reads, writes, kernel, network=params)
