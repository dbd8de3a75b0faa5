"""Class probabilities of one tile in one rotation, as the pipeline computes them for its middle cell.

The pipeline answers a cell from a window around it (7 x 7 cells, 112 um, for the shipped weights), so the
cell in the middle of a tile is answered from the tile. A tile is shown continued by reflection, as tissue
goes on beyond it; turned, that whole plane is turned, so no corner comes in.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard
from wsipipe.tiling.resample import Axis, resample, taps
from wsipipe.training.evaluation.inference import NATIVE_TOLERANCE, PatchPredictor
from wsipipe.training.evaluation.rotation import RotatableImage, Rotation, pad_reflect
from wsipipe.training.samples import Rgb, Tile

CONTEXT_PX = 64
"""Shown around the tile, at the network's mpp, before the network's own white begins."""
WINDOW_UM = 112.0


@dataclass(frozen=True)
class TileClassifier:
    """Answers tiles by one network.

    Attributes:
        predict: The network.
        card: Its card.
    """

    predict: PatchPredictor
    card: ModelCard

    def __post_init__(self) -> None:
        """Refuse networks that do not classify.

        Raises:
            ModelError: Names the outputs that there are.
        """
        if self.card.activation != "softmax":
            raise ModelError(
                f"{self.card.name} gives {', '.join(self.card.output_names)} ({self.card.activation}), not "
                "classes; evaluate it on fields with nuclei, or name weights that classify tissue."
            )

    def prepare(self, tile: Tile) -> "PreparedTile":
        """The tile on a plane that covers the canvas at every angle."""
        step = self._step(tile)
        own_px = max(max(tile.image.shape[:2]) / step, WINDOW_UM / self.card.mpp)
        unit_px = self.predict.lattice_px
        units = math.ceil(own_px / unit_px) // 2 * 2 + 1 + 2 * math.ceil(CONTEXT_PX / unit_px)
        side_px = units * unit_px
        plane = pad_reflect(tile.image, math.ceil(side_px * step * math.sqrt(2)) + 4)
        return PreparedTile(RotatableImage(plane), side_px, step)

    def classify(self, shown: "PreparedTile", rotation: Rotation) -> npt.NDArray[np.float64]:
        """Probabilities (classes,) of the cell at the tile's middle; the mean of four if it lies between."""
        maps = self.predict(shown.at(rotation)).astype(np.float64)
        last = maps.shape[1] // 2
        middle = slice((maps.shape[1] - 1) // 2, last + 1)
        return maps[:, middle, middle].mean(axis=(1, 2))

    def _step(self, tile: Tile) -> float:
        step = self.card.mpp / tile.mpp
        return 1.0 if abs(step - 1) <= NATIVE_TOLERANCE else step


@dataclass(frozen=True, eq=False)
class PreparedTile:
    """A tile on its plane.

    Attributes:
        plane: The tile continued by reflection, at its own mpp.
        side_px: Of the canvas that the network sees, an odd number of the lattice's cells.
        step: Px of the plane for each px of the canvas.
    """

    plane: RotatableImage
    side_px: int
    step: float

    def at(self, rotation: Rotation) -> Rgb:
        """The canvas (side, side, 3) uint8 in a rotation."""
        turned = self.plane.at(rotation, math.ceil(self.side_px * self.step / 2) * 2 + 4)
        along = taps(Axis(self.step, len(turned) / 2, self.side_px / 2), 0, self.side_px)
        start = along.span[0]
        return resample(turned[start:, start:], along, along)
