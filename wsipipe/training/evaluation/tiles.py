"""Evaluation of tissue networks on tiles.

Each tile is scored upright, mirrored, and rotated on its reflected plane.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.training.evaluation.metrics import bootstrap, class_scores, confusion
from wsipipe.training.evaluation.models import ModelSamples
from wsipipe.training.evaluation.record import (
    UPRIGHT_ONLY,
    AngleSummary,
    Evaluation,
    Scores,
    estimates,
    finite,
    summarise_angles,
)
from wsipipe.training.evaluation.rotation import UPRIGHT, Rotation
from wsipipe.training.evaluation.settings import EvaluationSettings, ProgressCounter, setup_of
from wsipipe.training.evaluation.tile_outputs import TileClassifier
from wsipipe.training.evaluation.trained_on import trained_among
from wsipipe.training.samples import Tile

Probabilities = npt.NDArray[np.float64]
"""Probabilities (rotations, tiles, classes)."""
Indices = npt.NDArray[np.int64]


def evaluate_tiles(models: Sequence[ModelSamples[Tile]], settings: EvaluationSettings) -> Evaluation:
    """Evaluate a tissue network, or one per fold.

    Tiles of classes that the network does not have are left out.

    Args:
        models: Networks with the tiles each is evaluated on.
        settings: Selection of the tiles, rotations and mirrors.

    Raises:
        ModelError: A network does not classify.
        ConfigError: No tile is left to score, or the folds' classes differ.
    """
    names = common_classes([model.card for model in models])
    tiles = [tile for model in models for tile in model.samples]
    unknown = Counter(sorted(tile.class_name for tile in tiles if tile.class_name not in names))
    kept = settings.select([tile for tile in tiles if tile.class_name in names])
    scored = [(model, one) for model in models for one in model.samples if one in kept]
    chosen = [tile for _, tile in scored]
    rotations = (UPRIGHT, *settings.mirrors, *settings.rotations[1:])
    classifiers = [(TileClassifier(model.predictor, model.card), one) for model, one in scored]
    outputs = _classify(classifiers, rotations, settings)
    truth = np.array([names.index(tile.class_name) for tile in chosen])
    groups = [tile.group for tile in chosen]
    means = class_scores(truth, outputs[0])
    intervals = bootstrap(groups, lambda one: class_scores(truth[one], outputs[0][one]), seed=settings.seed)
    mirrors, rotated = np.split(outputs[1:], [len(settings.mirrors)])
    return Evaluation(
        task="tissue",
        setting=setup_of([model.predictor for model in models], groups),
        **trained_among(scored),
        left_out={f"class {name} is unknown to the network": count for name, count in unknown.items()},
        original=estimates(means, intervals, dict.fromkeys(means, len(chosen))),
        mirrored={
            rotation.name: finite(class_scores(truth, one))
            for rotation, one in zip(settings.mirrors, mirrors, strict=True)
        },
        degrees=[rotation.degrees for rotation in settings.rotations],
        turned=_over_angles(truth, np.concatenate([outputs[:1], rotated]), groups, settings),
        orientation_difference=_difference(outputs, rotations),
        classes=list(names),
        confusion=confusion(truth, outputs[0].argmax(axis=1), len(names)).tolist(),
    )


def common_classes(cards: Sequence[ModelCard]) -> tuple[str, ...]:
    """Return the classes of all networks, in channel order.

    Raises:
        ConfigError: They differ.
    """
    names = {card.output_names for card in cards}
    if len(names) > 1:
        raise ConfigError(
            f"The folds have different classes: {sorted(names)}. Evaluate each fold's weights separately."
        )
    return names.pop()


def _classify(
    scored: Sequence[tuple[TileClassifier, Tile]], rotations: Sequence[Rotation], settings: EvaluationSettings
) -> Probabilities:
    counter = ProgressCounter(settings, len(scored) * len(rotations))
    by_tile = []
    for classifier, tile in scored:
        shown = classifier.prepare(tile)
        by_tile.append([counter(classifier.classify(shown, rotation)) for rotation in rotations])
    return np.array(by_tile).swapaxes(0, 1)


def _over_angles(
    truth: Indices, rotated: Probabilities, groups: Sequence[str], settings: EvaluationSettings
) -> dict[str, AngleSummary]:
    if not settings.rotations:
        return {}
    degrees = [rotation.degrees for rotation in settings.rotations]
    at_angle = [class_scores(truth, one) for one in rotated]
    # The share of correct angles per tile gives mean accuracy and recall without scoring every angle again.
    share = (rotated.argmax(axis=2) == truth).mean(axis=0)

    def means(chosen: Indices) -> Scores:
        part, labels = share[chosen], truth[chosen]
        recalls = [part[labels == label].mean() for label in np.unique(labels)]
        return {"accuracy": float(part.mean()), "balanced_accuracy": float(np.mean(recalls))}

    intervals = bootstrap(groups, means, seed=settings.seed)
    return {
        name: summarise_angles([row[name] for row in at_angle], degrees, intervals.get(name))
        for name in finite(at_angle[0])
        if name not in UPRIGHT_ONLY
    }


def _difference(outputs: Probabilities, rotations: Sequence[Rotation]) -> float | None:
    """Return the largest difference of a probability at exact orientations.

    These are mirrors and multiples of 90 degrees, which move whole pixels.
    """
    exact = [index for index, rotation in enumerate(rotations) if index and rotation.degrees % 90 == 0]
    return float(np.abs(outputs[exact] - outputs[0]).max()) if exact else None
