"""What a task is: everything that differs between learning nuclei and learning tissue."""

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
"""Some of the samples; of one type in each task."""


class TrainingTask(Protocol):
    """Samples in; batches, loss, and what is measured out."""

    activation: Activation

    @property
    def stain_reference(self) -> StainReference | None:
        """Colours that samples are brought to; None to take them as they are."""
        ...

    @property
    def samples(self) -> SampleList:
        """All fields or tiles."""
        ...

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Of the network."""
        ...

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the network that follow from the task."""
        ...

    def counts(self) -> npt.NDArray[np.float64]:
        """(n, kinds) what each sample brings to a fold; folds get even shares of every kind."""
        ...

    def check(self, held_out: SampleList) -> None:
        """Refuse held-out samples on which nothing can be measured, with a ConfigError."""
        ...

    def describe(self, samples: SampleList) -> dict[str, str]:
        """What samples there are of each source, in words."""
        ...

    def training_range(self, samples: SampleList) -> TrainingRange | None:
        """What these samples look like, for the card."""
        ...

    def known_features(
        self, network: nn.Module, card: ModelCard, samples: SampleList, device: Device
    ) -> KnownFeatures | None:
        """Features of these samples, so that the network can say "unknown"; None where it cannot."""
        ...

    def sampler(self, samples: SampleList) -> Sampler:
        """What makes batches of these samples."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Of a batch, one number."""
        ...

    def predict(self, network: nn.Module, card: ModelCard, held_out: SampleList, device: Device) -> list[Any]:
        """What the network says of held-out samples at the card's temperature, beside the truth."""
        ...

    def measure(
        self, network: nn.Module, card: ModelCard, held_out: SampleList, device: Device
    ) -> dict[str, float]:
        """Scores on the way, quickly; ``score`` is what early stopping looks at."""
        ...

    def calibrate(self, card: ModelCard, predictions: Sequence[Any]) -> ModelCard:
        """The card with what is chosen on ``predictions`` of held-out samples, given at temperature 1."""
        ...

    def score(self, card: ModelCard, predictions: Sequence[Any]) -> dict[str, float]:
        """Scores of predictions, given at temperature 1, with what the card has chosen."""
        ...
