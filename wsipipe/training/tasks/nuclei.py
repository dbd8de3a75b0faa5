"""Nuclei task: two probability maps, with instances measured as in the pipeline."""

from collections.abc import Sequence
from dataclasses import replace

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
from wsipipe.training.datasets.annotated_slides import DataSource
from wsipipe.training.evaluation.calibration import FieldMaps, choose, mean_scores, pixel_temperature
from wsipipe.training.evaluation.inference import field_canvas, instances, predictor_of, stored_maps
from wsipipe.training.evaluation.type_metrics import (
    RADIUS_UM,
    as_metrics,
    found_codes,
    pooled,
    type_pairs,
    type_scores,
)
from wsipipe.training.nucleus_types import type_codes, type_outputs
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
    """Training task for nuclei, from fields to a network with two maps.

    Attributes:
        activation: Activation of the outputs.

    Raises:
        ConfigError: No label map has a nucleus.
    """

    activation: Activation = "sigmoid"

    def __init__(self, recipe: Recipe, data: Sequence[DataSource]) -> None:
        self.recipe = recipe
        self.samples: list[Field] = [field for folder in data for field in read_fields(folder)]
        if not any(field.labels.any() for field in self.samples):
            raise ConfigError(
                f"The {len(self.samples)} label maps have no nucleus to train on. Give maps with ids above 0."
            )

    @property
    def stain_reference(self) -> StainReference | None:
        """Colours to which fields are normalised, if the recipe requests it."""
        return REFERENCE if self.recipe.restain else None

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Output maps of the network, those of types last."""
        return (*OUTPUTS, *type_outputs(self.recipe.samples.types))

    @property
    def arguments(self) -> dict[str, object]:
        """Arguments of the network that follow from the task."""
        return {"in_channels": 3, "out_channels": len(self.outputs)}

    def counts(self) -> npt.NDArray[np.float64]:
        """Return counts (n, 2) of each field for the fold assignment.

        They are whether it has instances to measure, and 1.
        """
        return np.array([[field.has_instances, 1] for field in self.samples], np.float64)

    def check(self, held_out: Sequence[Field]) -> None:
        """Refuse held-out fields on which nothing can be measured.

        Raises:
            ConfigError: No held-out field has instances.
        """
        if not any(field.has_instances and field.labels.any() for field in held_out):
            raise ConfigError(
                f"Nothing can be measured: none of the {len(held_out)} held-out fields has separate "
                "instances. Lower validation.folds, or hold out another source."
            )

    def describe(self, samples: Sequence[Field]) -> dict[str, str]:
        """Describe the fields of each source."""
        sources = dict.fromkeys(field.source for field in samples)
        return {name: _describe([field for field in samples if field.source == name]) for name in sources}

    def training_range(self, samples: Sequence[Field]) -> TrainingRange | None:
        """Return ranges of colours and nuclei of these fields."""
        return training_range(samples, self.recipe.mpp, self.stain_reference)

    def known_features(
        self, network: nn.Module, card: ModelCard, samples: Sequence[Field], device: Device
    ) -> None:
        """Return None; nuclei have no class "unknown"."""

    def sampler(self, samples: Sequence[Field]) -> Sampler:
        """Return a sampler of crops of these fields."""
        if self.stain_reference:
            samples = [self._restained(field, self.stain_reference) for field in samples]
        return NucleiCrops(samples, self.recipe.mpp, self.recipe.samples, self.recipe.augment)

    def _restained(self, field: Field, stain: StainReference) -> Field:
        """Normalise a field to the stain, as the network sees it.

        Colours are counted at the network's µm/px.
        """
        canvas = field_canvas(field.image, field.labels, field.mpp, self.recipe.mpp, 1)
        return replace(field, image=restained(field.image, lookup(colours(canvas.image), stain)))

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the loss of a batch of crops."""
        return nuclei_loss(network(batch["image"]), batch, self.recipe.loss)

    def predict(
        self, network: nn.Module, card: ModelCard, held_out: Sequence[Field], device: Device
    ) -> list[FieldMaps]:
        """Return truth and stored maps of fields with instances.

        They are at the network's mpp.
        """
        predict = predictor_of(network, card, device)
        found = []
        for field in held_out:
            if not field.has_instances:
                continue
            lattice, stain = predict.lattice_px, card.stain_reference
            canvas = field_canvas(field.image, field.labels, field.mpp, card.mpp, lattice, stain)
            nucleus, centre, *types = stored_maps(predict, canvas)
            maps = FieldMaps(canvas.labels[canvas.inside.slices], nucleus, centre, canvas.mpp)
            if types and field.types:
                maps = maps._replace(types=np.stack(types), true_types=type_codes(field, card.types))
            found.append(maps)
        return found

    def measure(
        self, network: nn.Module, card: ModelCard, held_out: Sequence[Field], device: Device
    ) -> dict[str, float]:
        """Return Dice, AJI and PQ at fixed thresholds, and F1 of types.

        It is fast, for validations during training; ``score`` is AJI + PQ + the mean F1 of types.
        """
        params = InstanceParams(nucleus_threshold=0.5, centre_threshold=0.4)
        maps = self.predict(network, card, held_out, device)
        scores, of_types = mean_scores(maps, params), scores_of_types(maps, params, card.types)
        score = scores["aji"] + scores["pq"]
        if of_types:
            score += float(np.mean([of_types.get(name, 0.0) for name in card.types]))
        return (
            {name: scores[name] for name in ("dice", "aji", "pq")} | as_metrics(of_types) | {"score": score}
        )

    def calibrate(self, card: ModelCard, predictions: Sequence[FieldMaps]) -> ModelCard:
        """Choose temperature and instance parameters, and add them to the card.

        Args:
            card: Card of the network.
            predictions: Predictions for held-out fields at temperature 1.
        """
        probabilities = np.concatenate([maps.nucleus.ravel() for maps in predictions]) / PROBABILITY_MAX
        truth = np.concatenate([maps.truth.ravel() > 0 for maps in predictions])
        temperature = pixel_temperature(probabilities, truth)
        choice = choose(tempered(predictions, temperature))
        chosen = {"thresholds": choice.thresholds, "instance_params": choice.instance_params}
        return card.model_copy(update={"temperature": temperature, **chosen})

    def score(self, card: ModelCard, predictions: Sequence[FieldMaps]) -> dict[str, float]:
        """Return mean scores of fields with the card's parameters, and F1 of types over all fields."""
        thresholds = {f"{name}_threshold": value for name, value in card.thresholds.items()}
        params = InstanceParams(**thresholds, **card.instance_params)
        maps = tempered(predictions, card.temperature)
        return mean_scores(maps, params) | as_metrics(scores_of_types(maps, params, card.types))


def scores_of_types(
    predictions: Sequence[FieldMaps], params: InstanceParams, names: Sequence[str]
) -> dict[str, float]:
    """Return the F1 of types over all fields with types; empty without any.

    Args:
        predictions: Maps and truth of fields.
        params: Instance parameters.
        names: Types of the network.
    """
    pairs = []
    for maps in predictions:
        if maps.types is not None and maps.true_types is not None:
            found = instances(maps.nucleus, maps.centre, params, maps.mpp)
            codes = found_codes(found, maps.types)
            pairs.append(type_pairs(maps.truth, maps.true_types, found, codes, RADIUS_UM / maps.mpp))
    return type_scores(pooled(pairs), names) if pairs else {}


def tempered(predictions: Sequence[FieldMaps], temperature: float) -> list[FieldMaps]:
    """Convert stored maps from temperature 1 to another temperature.

    The result is exact to a stored step.
    """
    probability = np.clip(np.arange(PROBABILITY_MAX + 1) / PROBABILITY_MAX, 1e-3, 1 - 1e-3)
    scores = np.log(probability / (1 - probability)) / temperature
    table = np.rint(PROBABILITY_MAX / (1 + np.exp(-scores))).astype(np.uint8)
    return [maps._replace(nucleus=table[maps.nucleus], centre=table[maps.centre]) for maps in predictions]


def _describe(fields: Sequence[Field]) -> str:
    """Describe the number of fields of a source and their µm/px."""
    known = sum(field.has_instances for field in fields)
    partly = f", {known} with instances" if known < len(fields) else ""
    mpps = sorted({f"{field.mpp:.3g}" for field in fields}, key=float)
    return f"{len(fields)} fields{partly}, {' to '.join(dict.fromkeys((mpps[0], mpps[-1])))} um/px"
