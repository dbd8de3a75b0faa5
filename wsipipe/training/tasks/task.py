"""Interface of a training task.

A task holds everything that differs between nuclei and tissue.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from wsipipe.models.cards.card import ModelCard, Output, StainReference
from wsipipe.models.cards.training_range import TrainingRange
from wsipipe.models.predictor import Device
from wsipipe.training.known_features import KnownFeatures
from wsipipe.training.sampling.batches import Batch
from wsipipe.training.sampling.prefetch import Sampler

Activation = Literal["sigmoid", "softmax"]
SampleList = Sequence[Any]
"""Fields or tiles, depending on the task."""
Predictions = list[Any]
"""Outputs for held-out samples with the truth; one type per task."""


class TrainingTask(Protocol):
    """Training task: samples, batches, loss and scores."""

    activation: Activation

    @property
    def stain_reference(self) -> StainReference | None:
        """Colours to which samples are normalised; None for no normalisation."""
        ...

    @property
    def samples(self) -> SampleList:
        """All fields or tiles."""
        ...

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Outputs of the network."""
        ...

    @property
    def arguments(self) -> dict[str, object]:
        """Arguments of the network that follow from the task."""
        ...

    def counts(self) -> npt.NDArray[np.float64]:
        """Return counts (n, kinds) of each sample; folds get equal shares of each kind."""
        ...

    def check(self, held_out: SampleList) -> None:
        """Raise a ConfigError if nothing can be measured on the held-out samples."""
        ...

    def describe(self, samples: SampleList) -> dict[str, str]:
        """Describe the samples of each source."""
        ...

    def training_range(self, samples: SampleList) -> TrainingRange | None:
        """Return the ranges of these samples for the card."""
        ...

    def known_features(
        self, network: nn.Module, card: ModelCard, samples: SampleList, device: Device
    ) -> KnownFeatures | None:
        """Return features of the samples for "unknown"; None where unsupported."""
        ...

    def sampler(self, samples: SampleList) -> Sampler:
        """Return a function that makes batches of these samples."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the loss of a batch as one number."""
        ...

    def predict(
        self, network: nn.Module, card: ModelCard, held_out: SampleList, device: Device
    ) -> Predictions:
        """Return outputs for held-out samples, with the truth.

        They are at the card's temperature.
        """
        ...

    def measure(
        self, network: nn.Module, card: ModelCard, held_out: SampleList, device: Device
    ) -> dict[str, float]:
        """Return scores during training.

        They are computed fast; early stopping uses ``score``.
        """
        ...

    def calibrate(self, card: ModelCard, predictions: Predictions) -> ModelCard:
        """Choose thresholds on held-out predictions and add them to the card.

        Args:
            card: Card of the network.
            predictions: Predictions for held-out samples at temperature 1.
        """
        ...

    def score(self, card: ModelCard, predictions: Predictions) -> dict[str, float]:
        """Return scores of predictions with the card's thresholds.

        Args:
            card: Card of the network, after calibration.
            predictions: Predictions at temperature 1.
        """
        ...
