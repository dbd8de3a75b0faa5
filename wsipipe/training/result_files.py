"""Result file of a training, and the identity by which it is recognised."""

import hashlib
import json
from pathlib import Path
from typing import TypedDict

from wsipipe.models.cards.card import StainReference
from wsipipe.models.cards.weights import find_weights, verified_card
from wsipipe.training.recipe import Recipe, Schedule
from wsipipe.training.tasks.task import SampleList

RESULT = "result.json"
NO_EFFECT = {"threads", "licence", "non_commercial", "description", "stain", "organ"}
"""Keys of a recipe that may change when a training is resumed."""


class TrainingResult(TypedDict, total=False):
    """Content of ``result.json``."""

    identity: str
    steps: int
    metrics: dict[str, float]


def read_result(out: Path) -> TrainingResult:
    """Read the result of a finished training; empty if unfinished."""
    path = out / RESULT
    result: TrainingResult = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return result


def training_identity(
    recipe: Recipe, schedule: Schedule, stain: StainReference | None, samples: SampleList
) -> str:
    """Return a digest of everything that determines the weights.

    Args:
        recipe: Recipe of the network.
        schedule: Schedule that replaces the recipe's.
        stain: Colours to which samples are normalised; None for no normalisation.
        samples: Training samples.
    """
    content = recipe.model_dump(exclude=NO_EFFECT) | {"fit": schedule.model_dump()}
    if not recipe.samples.types:
        # Trainings that were begun before there were types can be resumed.
        content["samples"].pop("types")
        content["loss"].pop("types")
    content |= {"stain": stain.model_dump()} if stain else {}
    start = recipe.network.start
    content |= {"start": verified_card(find_weights(start)).sha256} if start else {}
    names = [[one.source, one.name, *one.image.shape, one.mpp] for one in samples]
    return hashlib.sha256(json.dumps([content, names], sort_keys=True).encode()).hexdigest()
