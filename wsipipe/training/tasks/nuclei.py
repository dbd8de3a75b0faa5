"""What is particular to nuclei: two maps, crops, and instances measured as the pipeline finds them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard, Output, StainReference
from wsipipe.models.cards.training_range import TrainingRange
from wsipipe.models.predictor import Device
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.stain import REFERENCE, colours, lookup, restained
from wsipipe.store.encoding import PROBABILITY_MAX
from wsipipe.training.datasets import read_fields
from wsipipe.training.evaluation.calibration import FieldMaps, choose, mean_scores, pixel_temperature
from wsipipe.training.evaluation.inference import field_canvas, predictor_of, stored_maps
from wsipipe.training.recipe import Recipe
from wsipipe.training.samples import Field
from wsipipe.training.sampling.batches import Batch
from wsipipe.training.sampling.crops import NucleiCrops
from wsipipe.training.sampling.prefetch import Sampler
from wsipipe.training.tasks.losses import nuclei_loss
from wsipipe.training.tasks.task import Activation
from wsipipe.training.training_range import training_range

OUTPUTS = (
    Output(name="nucleus", description="inside a nucleus", color=(0, 160, 80)),
    Output(name="centre", description="depth inside a nucleus, 1 at its middle", color=(240, 200, 0)),
)


class NucleiTask:
    """The task ``nuclei``: fields in, a network of two maps out.

    Attributes:
        outputs: Of the network.
        activation: Of the outputs.
    """

    outputs = OUTPUTS
    activation: Activation = "sigmoid"

    def __init__(self, recipe: Recipe, data: Sequence[Path]) -> None:
        self.recipe = recipe
        self.samples: list[Field] = [field for folder in data for field in read_fields(folder)]
        if not any(field.labels.any() for field in self.samples):
            raise ConfigError(
                f"The {len(self.samples)} label maps hold no nucleus, so nothing can be learnt. Give "
                "maps with ids above 0."
            )

    @property
    def stain_reference(self) -> StainReference | None:
        """Colours that fields are brought to, if the recipe wants it."""
        return REFERENCE if self.recipe.restain else None

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the network that follow from the task."""
        return {"in_channels": 3, "out_channels": len(OUTPUTS)}

    def counts(self) -> npt.NDArray[np.float64]:
        """(n, 2) what each field brings to a fold: instances to be measured, and anything at all."""
        return np.array([[field.has_instances, 1] for field in self.samples], np.float64)

    def check(self, held_out: Sequence[Field]) -> None:
        """Refuse held-out fields on which nothing can be measured.

        Raises:
            ConfigError: None of them has instances.
        """
        if not any(field.has_instances and field.labels.any() for field in held_out):
            raise ConfigError(
                f"None of the {len(held_out)} fields held out has nuclei that are told apart, so nothing can "
                "be measured. Lower validation.folds, or hold out another source."
            )

    def describe(self, samples: Sequence[Field]) -> dict[str, str]:
        """What was learnt from each source, in words."""
        sources = dict.fromkeys(field.source for field in samples)
        return {name: _describe([field for field in samples if field.source == name]) for name in sources}

    def training_range(self, samples: Sequence[Field]) -> TrainingRange | None:
        """Ranges of colours and nuclei of these fields."""
        return training_range(samples, self.recipe.mpp, self.stain_reference)

    def known_features(
        self, network: nn.Module, card: ModelCard, samples: Sequence[Field], device: Device
    ) -> None:
        """Nuclei have no class "unknown"."""

    def sampler(self, samples: Sequence[Field]) -> Sampler:
        """Crops of these fields."""
        if self.stain_reference:
            samples = [self._restained(field, self.stain_reference) for field in samples]
        return NucleiCrops(samples, self.recipe.mpp, self.recipe.samples, self.recipe.augment)

    def _restained(self, field: Field, stain: StainReference) -> Field:
        """The field in the colours that the network will see it in: counted at the network's um/px."""
        on = field_canvas(field.image, field.labels, field.mpp, self.recipe.mpp, 1)
        return replace(field, image=restained(field.image, lookup(colours(on.image), stain)))

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Of a batch of crops."""
        return nuclei_loss(network(batch["image"]), batch, self.recipe.loss)

    def predict(
        self, network: nn.Module, card: ModelCard, held_out: Sequence[Field], device: Device
    ) -> list[FieldMaps]:
        """Truth and stored maps of the fields with instances, at the network's mpp."""
        predict = predictor_of(network, card, device)
        found = []
        for field in held_out:
            if not field.has_instances:
                continue
            lattice, stain = predict.lattice_px, card.stain_reference
            on = field_canvas(field.image, field.labels, field.mpp, card.mpp, lattice, stain)
            nucleus, centre = stored_maps(predict, on)
            found.append(FieldMaps(on.labels[on.inside.slices], nucleus, centre, on.mpp))
        return found

    def measure(
        self, network: nn.Module, card: ModelCard, held_out: Sequence[Field], device: Device
    ) -> dict[str, float]:
        """Dice, AJI and PQ at usual thresholds, quickly; ``score`` is AJI + PQ."""
        params = InstanceParams(nucleus_threshold=0.5, centre_threshold=0.4)
        scores = mean_scores(self.predict(network, card, held_out, device), params)
        return {name: scores[name] for name in ("dice", "aji", "pq")} | {
            "score": scores["aji"] + scores["pq"]
        }

    def calibrate(self, card: ModelCard, predictions: Sequence[FieldMaps]) -> ModelCard:
        """The card with temperature and instance parameters chosen on ``predictions`` of held-out fields."""
        said = np.concatenate([maps.nucleus.ravel() for maps in predictions]) / PROBABILITY_MAX
        truth = np.concatenate([maps.truth.ravel() > 0 for maps in predictions])
        temperature = pixel_temperature(said, truth)
        choice = choose(tempered(predictions, temperature))
        chosen = {"thresholds": choice.thresholds, "instance_params": choice.instance_params}
        return card.model_copy(update={"temperature": temperature, **chosen})

    def score(self, card: ModelCard, predictions: Sequence[FieldMaps]) -> dict[str, float]:
        """Mean scores of fields with the card's temperature and instance parameters."""
        thresholds = {f"{name}_threshold": value for name, value in card.thresholds.items()}
        params = InstanceParams(**thresholds, **card.instance_params)
        return mean_scores(tempered(predictions, card.temperature), params)


def tempered(predictions: Sequence[FieldMaps], temperature: float) -> list[FieldMaps]:
    """FieldMaps of a network at temperature 1 -> those at another, to a stored step."""
    probability = np.clip(np.arange(PROBABILITY_MAX + 1) / PROBABILITY_MAX, 1e-3, 1 - 1e-3)
    scores = np.log(probability / (1 - probability)) / temperature
    table = np.rint(PROBABILITY_MAX / (1 + np.exp(-scores))).astype(np.uint8)
    return [maps._replace(nucleus=table[maps.nucleus], centre=table[maps.centre]) for maps in predictions]


def _describe(fields: Sequence[Field]) -> str:
    """How many fields of one source there are, and at which um per px."""
    known = sum(field.has_instances for field in fields)
    partly = f", {known} with instances" if known < len(fields) else ""
    mpps = sorted({f"{field.mpp:.3g}" for field in fields}, key=float)
    return f"{len(fields)} fields{partly}, {' to '.join(dict.fromkeys((mpps[0], mpps[-1])))} um/px"
