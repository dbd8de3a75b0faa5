"""Stage segment: nucleus and centre probabilities from a U-Net.

It reads image and tissue, and writes ``probabilities/nucleus`` and ``probabilities/centre``, uint8. Weights
with types of nuclei also give ``scratch/types``, one channel per type, where there is foreground.
"""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.shipped import DEFAULT_NUCLEI
from wsipipe.stages.grid import CanvasGrid, network_level, tissue_downsample
from wsipipe.stages.passes import PassSizes, passes
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write, upsampled
from wsipipe.stages.stage_params import NetworkParams
from wsipipe.stages.stain import STAIN, restained
from wsipipe.stages.tile import image_name
from wsipipe.stages.tissue import TISSUE
from wsipipe.stages.windows import windows_of
from wsipipe.store.encoding import NOT_COMPUTED, quantise

AUTO_WEIGHTS = "auto"
TYPE_MAP = "scratch/types"
MAPS = ("nucleus", "centre")
SMALLEST_PATCH_PX = 64
_FITTED_PATCH_PX = 128
_BYTES_PER_PATCH_PX = 600
"""Measured by ``benchmarks/soak.py memory``."""


class SegmentParams(NetworkParams):
    """Parameters of nuclei segmentation.

    Attributes:
        weights: Name of shipped weights, or path of a ``.safetensors`` or ``.onnx`` file with its card, or
            ``auto`` to choose between shipped weights by the scale and the stain of each slide.
        quality: What ``auto`` prefers, ``fast`` or ``fine`` (0.25 um/px where the slide has it); fast where
            it is left open. Without weights it means ``auto``.
        precision: ``auto`` (bfloat16 where the processor has it), ``float32``, ``bfloat16``, ``float64``.
        patch_px: Side of the core of one pass of the network; bounds memory, never changes the result.
        types: Whether each nucleus gets a type, where the weights know types.
    """

    patch_key: ClassVar[str] = "patch_px"

    weights: str = DEFAULT_NUCLEI
    quality: Literal["fast", "fine"] | None = None
    patch_px: int = Field(default=1024, ge=SMALLEST_PATCH_PX, le=4096, multiple_of=SMALLEST_PATCH_PX)
    types: bool = True

    @model_validator(mode="before")
    @classmethod
    def _quality_is_of_auto(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("quality") is None:
            return values
        weights = values.get("weights", AUTO_WEIGHTS)
        if weights != AUTO_WEIGHTS:
            raise ValueError(
                f"quality={values['quality']} chooses between shipped weights, but weights={weights} are "
                "given. Leave out one of the two, or set weights=auto"
            )
        return values | {"weights": weights}

    def causes(self) -> dict[str, object]:
        """Return the values that affect the result.

        Types are among them only where they are turned off; the quality has led to the weights.
        """
        values = super().causes()
        del values["quality"]
        return {name: value for name, value in values.items() if name != "types" or not value}

    @property
    def is_auto(self) -> bool:
        """Whether the weights are chosen for each slide."""
        return self.weights == AUTO_WEIGHTS

    @property
    def card_weights(self) -> str:
        """Weights whose card stands for these parameters before a slide is opened."""
        return DEFAULT_NUCLEI if self.is_auto else self.weights

    def types_of(self, card: ModelCard) -> tuple[str, ...]:
        """Return the types that nuclei get from these weights; empty for none."""
        return card.types if self.types else ()

    @property
    def pass_bytes(self) -> int:
        """Memory of one pass of the network, estimated from above."""
        return self.patch_px**2 * _BYTES_PER_PATCH_PX

    def check_card(self, card: ModelCard) -> None:
        """Check that the network has the two maps that nuclei need.

        Raises:
            ModelError: One of them is missing.
        """
        missing = [name for name in MAPS if name not in card.output_names]
        if missing:
            raise ModelError(
                f"The network {card.name} gives {', '.join(card.output_names)}, but not {missing[0]}. "
                "Nuclei need "
                f"the maps {' and '.join(MAPS)}; use other weights, or name the outputs in the card."
            )

    def with_smaller_patches(self, times: int) -> Self:
        """Return the parameters with patches halved ``times`` times, as far as possible."""
        smaller = (self.patch_px >> times) // SMALLEST_PATCH_PX * SMALLEST_PATCH_PX
        return self.model_copy(update={"patch_px": max(SMALLEST_PATCH_PX, smaller)})

    def fitted_to(self, shard_px: int) -> Self:
        """Return the parameters with patches of at most a quarter of a shard's side."""
        return self.model_copy(update={"patch_px": min(self.patch_px, max(_FITTED_PATCH_PX, shard_px // 4))})


def probability_name(output: str) -> str:
    """Return the array name of a network output."""
    return f"probabilities/{output}/0"


def segment_stage(
    params: SegmentParams, card: ModelCard, grid: CanvasGrid, shard_px: int, foreground_level: int = 1
) -> Stage:
    """Declare the stage that segments nuclei.

    Types are stored where the stored nucleus probability is at least ``foreground_level``: nuclei have no
    other pixels.

    It writes probabilities in tissue and 255 (not computed) elsewhere. The result does not depend on the
    tiling: the canvas is a multiple of the lattice and continues in white; patches start on the lattice and
    have the network's whole receptive field as halo. See docs/exactness.md.
    """
    level = network_level(card, grid.mpp, "segment")
    downsample = 1 << level
    image = image_name(level)
    unit = tissue_downsample(grid.mpp) // downsample
    windows = windows_of(card, grid.shape_at(downsample))
    halo = card.halo_px if windows is None else windows.context_px
    reads = (
        Read(image, downsample, halo, outside=255),
        Read(TISSUE, tissue_downsample(grid.mpp), outside=NOT_COMPUTED),
    )
    sizes = PassSizes(cell_px=unit, halo_px=halo, patch_px=params.patch_px, windows=windows)
    names = {output.name: probability_name(output.name) for output in card.maps}
    types = params.types_of(card)

    def kernel(shard: ShardInput) -> ShardOutput:
        in_tissue = shard.read(TISSUE).pixels == 1
        outputs = {name: np.full(shard.core.shape, NOT_COMPUTED, np.uint8) for name in names.values()}
        if types:
            outputs[TYPE_MAP] = np.full((len(types), *shard.core.shape), NOT_COMPUTED, np.uint8)
        if not in_tissue.any():
            return ShardOutput(outputs)
        pixels = shard.read(image).pixels
        table = shard.tables[STAIN]["lookup"] if card.stain_reference else None
        pixels = pixels if table is None else restained(pixels, table)
        for found in passes(shard.network, pixels, in_tissue, sizes, core=shard.core):
            # Windows may begin within a tissue px.
            cells = found.region.scaled(1, unit)
            place = found.region.relative_to(cells.scaled(unit))
            inside = upsampled(in_tissue[cells.slices], unit)[place.slices]
            stored = dict(zip(card.output_names, quantise(found.probabilities), strict=True))
            for output, name in names.items():
                outputs[name][found.region.slices] = np.where(inside, stored[output], np.uint8(NOT_COMPUTED))
            if types:
                foreground = inside & (stored["nucleus"] >= foreground_level)
                values = np.stack([stored[name] for name in types])
                outputs[TYPE_MAP][:, *found.region.slices] = np.where(
                    foreground, values, np.uint8(NOT_COMPUTED)
                )
        return ShardOutput(outputs)

    writes = [Write(name, "probability", "uint8", NOT_COMPUTED) for name in names.values()]
    if types:
        writes.append(Write(TYPE_MAP, "scratch", "uint8", NOT_COMPUTED, types))
    return Stage("segment", downsample, shard_px, reads, tuple(writes), kernel, network=params)
