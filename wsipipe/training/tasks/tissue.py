"""Tissue task: classes, mosaics of tiles, accuracy of tiles."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from wsipipe.common.colours import TISSUE_CLASSES, further
from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard, Output, StainReference
from wsipipe.models.cards.training_range import TrainingRange
from wsipipe.models.networks.dense_classifier import DenseClassifier
from wsipipe.models.predictor import Device
from wsipipe.training.datasets import read_tiles
from wsipipe.training.datasets.annotated_slides import DataSource
from wsipipe.training.device import autocast
from wsipipe.training.evaluation.calibration import class_temperature
from wsipipe.training.evaluation.metrics import class_scores
from wsipipe.training.known_features import KnownFeatures, known_features
from wsipipe.training.recipe import Recipe
from wsipipe.training.samples import Tile
from wsipipe.training.sampling.batches import Batch, as_input
from wsipipe.training.sampling.mosaics import TileMosaics, square
from wsipipe.training.sampling.prefetch import Sampler
from wsipipe.training.tasks.losses import tissue_loss
from wsipipe.training.tasks.task import Activation
from wsipipe.training.training_range import training_range

MEANINGS = {
    "ADI": "adipose",
    "BACK": "glass",
    "DEB": "debris",
    "LYM": "lymphocytes",
    "MUC": "mucus",
    "MUS": "smooth muscle",
    "NORM": "normal mucosa",
    "STR": "stroma",
    "TUM": "tumour epithelium",
    "gland_benign": "benign gland",
    "gland_malignant": "malignant gland",
}
BATCH = 16


class TilePredictions(NamedTuple):
    """Predictions for held-out tiles, with the truth.

    Attributes:
        truth: (N,) class indices.
        probabilities: (N, classes).
    """

    truth: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]


class TissueTask:
    """Training task for tissue, from tiles to a dense classifier.

    Attributes:
        outputs: Outputs of the network, one per class.
        activation: Activation of the outputs.

    Raises:
        ConfigError: There are fewer than two classes, or one has no tile.
    """

    activation: Activation = "softmax"
    stain_reference: StainReference | None = None

    def __init__(self, recipe: Recipe, data: Sequence[DataSource]) -> None:
        self.recipe = recipe
        tiles = [tile for folder in data for tile in read_tiles(folder)]
        found = sorted({tile.class_name for tile in tiles})
        self.classes = recipe.samples.classes or found
        absent = set(self.classes) - set(found)
        if absent or len(self.classes) < 2:
            raise ConfigError(
                f"The recipe has classes {', '.join(self.classes)}, but the data have {', '.join(found)}. "
                "Correct samples.classes (at least two), or give data of each."
            )
        self.samples: list[Tile] = [tile for tile in tiles if tile.class_name in self.classes]
        self.outputs = tuple(_output(name, index) for index, name in enumerate(self.classes))

    @property
    def arguments(self) -> dict[str, object]:
        """Arguments of the network that follow from the task."""
        return {"num_classes": len(self.classes)}

    def counts(self) -> npt.NDArray[np.float64]:
        """Return counts (n, classes) of each tile for the fold assignment."""
        return np.eye(len(self.classes))[[self.classes.index(tile.class_name) for tile in self.samples]]

    def check(self, held_out: Sequence[Tile]) -> None:
        """Accept all tiles; any tile can be measured."""

    def describe(self, samples: Sequence[Tile]) -> dict[str, str]:
        """Describe the tiles of each source."""
        pairs = Counter((tile.source, tile.class_name) for tile in samples)
        return {
            source: "tiles: " + ", ".join(f"{n} {name}" for (of, name), n in pairs.items() if of == source)
            for source in dict.fromkeys(tile.source for tile in samples)
        }

    def training_range(self, samples: Sequence[Tile]) -> TrainingRange | None:
        """Return ranges of the colours of these tiles."""
        return training_range(samples, self.recipe.mpp)

    def known_features(
        self, network: nn.Module, card: ModelCard, samples: Sequence[Tile], device: Device
    ) -> KnownFeatures | None:
        """Return features of these tiles."""
        if not isinstance(network, DenseClassifier):
            return None
        return known_features(network, samples, card.mpp, torch.device(device))

    def sampler(self, samples: Sequence[Tile]) -> Sampler:
        """Return a sampler of mosaics of these tiles."""
        return TileMosaics(samples, self.classes, self.recipe.mpp, self.recipe.samples, self.recipe.augment)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the loss of a batch of mosaics.

        The score of a tile is the mean over its cells.
        """
        cells = network.cells(batch["image"])
        per_tile = cells.shape[2] // self.recipe.samples.tiles
        return tissue_loss(functional.avg_pool2d(cells, per_tile), batch, self.recipe.loss)

    def predict(
        self, network: nn.Module, card: ModelCard, held_out: Sequence[Tile], device: Device
    ) -> list[TilePredictions]:
        """Return class probabilities of single tiles."""
        where, side = torch.device(device), self.recipe.samples.side_px
        found = []
        for start in range(0, len(held_out), BATCH):
            tiles = held_out[start : start + BATCH]
            images = as_input(np.stack([square(tile, card.mpp, side) for tile in tiles])).to(where)
            with torch.no_grad(), autocast(where, self.recipe.fit.precision):
                scores = network.eval()(images).float() / card.temperature
            truth = np.array([self.classes.index(tile.class_name) for tile in tiles])
            found.append(TilePredictions(truth, scores.softmax(1).cpu().numpy()))
        return found

    def measure(
        self, network: nn.Module, card: ModelCard, held_out: Sequence[Tile], device: Device
    ) -> dict[str, float]:
        """Return accuracy and balanced accuracy of tiles.

        ``score`` is balanced accuracy.
        """
        truth, probabilities = _join(self.predict(network, card, held_out, device))
        scores = class_scores(truth, probabilities)
        kept = {name: scores[name] for name in ("accuracy", "balanced_accuracy")}
        return kept | {"score": scores["balanced_accuracy"]}

    def calibrate(self, card: ModelCard, predictions: Sequence[TilePredictions]) -> ModelCard:
        """Choose the temperature and add it to the card.

        Args:
            card: Card of the network.
            predictions: Predictions for held-out tiles at temperature 1.
        """
        truth, probabilities = _join(predictions)
        return card.model_copy(update={"temperature": class_temperature(probabilities, truth)})

    def score(self, card: ModelCard, predictions: Sequence[TilePredictions]) -> dict[str, float]:
        """Return accuracy, balanced accuracy, AUC and recall of each class.

        The temperature does not change any decision.
        """
        truth, probabilities = _join(predictions)
        right = probabilities.argmax(1) == truth
        recalls = {
            f"recall_{name}": float(right[truth == label].mean())
            for label, name in enumerate(self.classes)
            if (truth == label).any()
        }
        return class_scores(truth, probabilities) | recalls


def _join(predictions: Sequence[TilePredictions]) -> TilePredictions:
    return TilePredictions(*(np.concatenate(parts) for parts in zip(*predictions, strict=True)))


def _output(name: str, index: int) -> Output:
    return Output(
        name=name,
        description=MEANINGS.get(name, name),
        color=TISSUE_CLASSES.get(name, further(index)),
    )
