"""Grids of a slide: canvas, lattice, tissue, network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array
from wsipipe.models.cards.card import ModelCard

MPP_TOLERANCE = 0.12
MIN_LATTICE_PX = 64
TISSUE_MPP = 8.0


@dataclass(frozen=True)
class CanvasGrid:
    """The pixel grid of all arrays of a slide.

    Attributes:
        shape: (height, width) of the canvas in px; multiples of the lattice.
        mpp: Um per canvas px.
        offset_px0: Level-0 (y, x) of the canvas's first corner, in continuous px of the slide.
        step_px0: Level-0 px per canvas px.
    """

    shape: tuple[int, int]
    mpp: float
    offset_px0: tuple[float, float]
    step_px0: float

    def shape_at(self, downsample: int) -> tuple[int, int]:
        """Return the shape of an array with one px per ``downsample`` canvas px, rounded up."""
        return -(-self.shape[0] // downsample), -(-self.shape[1] // downsample)

    @property
    def extent_px0(self) -> tuple[float, float]:
        """(height, width) of the scanned area in level-0 px; the canvas is centred on it."""
        sides = zip(self.shape, self.offset_px0, strict=True)
        height, width = (side * self.step_px0 + 2 * offset for side, offset in sides)
        return height, width

    def affine_at(self, downsample: int) -> tuple[float, float, float]:
        """Return the affine of a downsampled array to level-0 px.

        Returns:
            (offset y, offset x, step): level-0 px = offset + step * px of the array.
        """
        return (*self.offset_px0, self.step_px0 * downsample)

    def centres_px0(self, downsample: int) -> tuple[Array, Array]:
        """Return y (h,) and x (w,) of the px centres of a downsampled array, level-0 px."""
        *offsets, step = self.affine_at(downsample)
        y, x = (
            (np.arange(count) + 0.5) * step + offset
            for count, offset in zip(self.shape_at(downsample), offsets, strict=True)
        )
        return y, x


def tissue_downsample(mpp: float) -> int:
    """Return canvas px per tissue px.

    This is the power of two that comes nearest to 8 um/px.
    """
    return 1 << max(0, round(math.log2(TISSUE_MPP / mpp)))


def network_level(card: ModelCard, mpp: float, stage: str) -> int:
    """Return the pyramid level with the network's um per px.

    Args:
        card: Card of the network.
        mpp: Um per canvas px.
        stage: Name of the stage, for the message.

    Raises:
        ConfigError: No level 2**k of the canvas comes within 12 % of the network's mpp; names ``tile.mpp``.
    """
    level = max(0, round(math.log2(card.mpp / mpp)))
    if abs(mpp * 2**level / card.mpp - 1) > MPP_TOLERANCE:
        raise ConfigError(
            f"{stage}.weights {card.name} work at {card.mpp:g} um/px, but the canvas has {mpp:g} um/px, and "
            f"no halving of it comes within {MPP_TOLERANCE:.0%}; set tile.mpp={card.mpp:g} or choose other "
            f"weights (wsipipe models lists them)."
        )
    return level


def lattice_px(mpp: float, cards: Mapping[str, ModelCard]) -> int:
    """Return the unit of canvas sides in px.

    Every array and patch then starts on a whole pixel.

    Args:
        mpp: Um per canvas px.
        cards: Cards of the networks, by stage.
    """
    units = [MIN_LATTICE_PX, tissue_downsample(mpp)]
    units += [card.canvas_unit_px << network_level(card, mpp, stage) for stage, card in cards.items()]
    return max(units)
