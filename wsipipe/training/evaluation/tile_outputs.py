"""Class probabilities of one tile, as the pipeline computes them.

The pipeline classifies a cell from a window around it (7 x 7 cells, 112 µm, for the shipped weights), so the
cell in the middle of a tile is classified from the tile. A tile is continued by reflection, as tissue
continues beyond it; this plane is rotated as a whole, so no empty corner appears.
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
"""Reflected px around the tile, at the network's mpp, beyond which the network sees white."""
WINDOW_UM = 112.0


@dataclass(frozen=True)
class TileClassifier:
    """Classifier of tiles by one network.

    Attributes:
        predict: Predictor of the network.
        card: Card of the network.
    """

    predict: PatchPredictor
    card: ModelCard

    def __post_init__(self) -> None:
        """Refuse networks that do not classify.

        Raises:
            ModelError: The network has other outputs.
        """
        if self.card.activation != "softmax":
            raise ModelError(
                f"{self.card.name} outputs {', '.join(self.card.output_names)} ({self.card.activation}), not "
                "classes. Evaluate it on fields with nuclei, or name weights that classify tissue."
            )

    def prepare(self, tile: Tile) -> "PreparedTile":
        """Place a tile on a plane that covers the canvas at every angle."""
        step = self._step(tile)
        own_px = max(max(tile.image.shape[:2]) / step, WINDOW_UM / self.card.mpp)
        unit_px = self.predict.lattice_px
        units = math.ceil(own_px / unit_px) // 2 * 2 + 1 + 2 * math.ceil(CONTEXT_PX / unit_px)
        side_px = units * unit_px
        plane = pad_reflect(tile.image, math.ceil(side_px * step * math.sqrt(2)) + 4)
        return PreparedTile(RotatableImage(plane), side_px, step)

    def classify(self, shown: "PreparedTile", rotation: Rotation) -> npt.NDArray[np.float64]:
        """Return probabilities (classes,) of the cell at the tile's middle.

        They are the mean of four cells if the middle is between them.
        """
        maps = self.predict(shown.at(rotation)).astype(np.float64)
        last = maps.shape[1] // 2
        middle = slice((maps.shape[1] - 1) // 2, last + 1)
        return maps[:, middle, middle].mean(axis=(1, 2))

    def _step(self, tile: Tile) -> float:
        step = self.card.mpp / tile.mpp
        return 1.0 if abs(step - 1) <= NATIVE_TOLERANCE else step


@dataclass(frozen=True, eq=False)
class PreparedTile:
    """Tile on its plane.

    Attributes:
        plane: Tile continued by reflection, at its own mpp.
        side_px: Side of the network's canvas, an odd number of the lattice's cells.
        step: Px of the plane for each px of the canvas.
    """

    plane: RotatableImage
    side_px: int
    step: float

    def at(self, rotation: Rotation) -> Rgb:
        """Return the rotated canvas (side, side, 3) uint8."""
        rotated = self.plane.at(rotation, math.ceil(self.side_px * self.step / 2) * 2 + 4)
        along = taps(Axis(self.step, len(rotated) / 2, self.side_px / 2), 0, self.side_px)
        start = along.span[0]
        return resample(rotated[start:, start:], along, along)
