"""Evaluation of tissue networks: each tile upright, mirrored, and turned on its reflect plane."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.training.evaluation.metrics import bootstrap, class_scores, confusion
from wsipipe.training.evaluation.models import ModelSamples
from wsipipe.training.evaluation.record import (
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

Answers = npt.NDArray[np.float64]
"""Probabilities (rotations, tiles, classes)."""
Indices = npt.NDArray[np.int64]


def evaluate_tiles(parts: Sequence[ModelSamples[Tile]], settings: EvaluationSettings) -> Evaluation:
    """Evaluation of a tissue network, or of one a fold, on the tiles whose class it has.

    Raises:
        ModelError: A network does not classify.
        ConfigError: No tile is left to score, or the folds' classes differ.
    """
    names = common_classes([part.card for part in parts])
    tiles = [tile for part in parts for tile in part.samples]
    strange = [tile.class_name for tile in tiles if tile.class_name not in names]
    kept = settings.select([tile for tile in tiles if tile.class_name in names])
    asked = [(part, one) for part in parts for one in part.samples if one in kept]
    chosen = [tile for _, tile in asked]
    rotations = (UPRIGHT, *settings.mirrors, *settings.rotations[1:])
    classifiers = [(TileClassifier(part.predictor, part.card), one) for part, one in asked]
    answers = _answers(classifiers, rotations, settings)
    truth = np.array([names.index(tile.class_name) for tile in chosen])
    groups = [tile.group for tile in chosen]
    means = class_scores(truth, answers[0])
    intervals = bootstrap(groups, lambda one: class_scores(truth[one], answers[0][one]), seed=settings.seed)
    mirrors, turned = np.split(answers[1:], [len(settings.mirrors)])
    return Evaluation(
        task="tissue",
        setting=setup_of([part.predictor for part in parts], groups),
        **trained_among(asked),
        left_out={f"class {name} is not the network's": strange.count(name) for name in sorted(set(strange))},
        original=estimates(means, intervals, dict.fromkeys(means, len(chosen))),
        mirrored={
            rotation.name: finite(class_scores(truth, one))
            for rotation, one in zip(settings.mirrors, mirrors, strict=True)
        },
        degrees=[rotation.degrees for rotation in settings.rotations],
        turned=_over_angles(truth, np.concatenate([answers[:1], turned]), groups, settings),
        orientation_difference=_difference(answers, rotations),
        classes=list(names),
        confusion=confusion(truth, answers[0].argmax(axis=1), len(names)).tolist(),
    )


def common_classes(cards: Sequence[ModelCard]) -> tuple[str, ...]:
    """The classes of all networks, in channel order.

    Raises:
        ConfigError: They differ.
    """
    names = {card.output_names for card in cards}
    if len(names) > 1:
        raise ConfigError(f"The networks to evaluate together have different classes: {sorted(names)}.")
    return names.pop()


def _answers(
    asked: Sequence[tuple[TileClassifier, Tile]], rotations: Sequence[Rotation], settings: EvaluationSettings
) -> Answers:
    ticks = ProgressCounter(settings, len(asked) * len(rotations))
    by_tile = []
    for classifier, tile in asked:
        shown = classifier.prepare(tile)
        by_tile.append([ticks(classifier.classify(shown, rotation)) for rotation in rotations])
    return np.array(by_tile).swapaxes(0, 1)


def _over_angles(
    truth: Indices, turned: Answers, groups: Sequence[str], settings: EvaluationSettings
) -> dict[str, AngleSummary]:
    if not settings.rotations:
        return {}
    degrees = [rotation.degrees for rotation in settings.rotations]
    at_angle = [class_scores(truth, one) for one in turned]
    # A tile's share of right angles averages to accuracy and recall over angles, without scoring each anew.
    share = (turned.argmax(axis=2) == truth).mean(axis=0)

    def means(chosen: Indices) -> Scores:
        part, labels = share[chosen], truth[chosen]
        recalls = [part[labels == label].mean() for label in np.unique(labels)]
        return {"accuracy": float(part.mean()), "balanced_accuracy": float(np.mean(recalls))}

    intervals = bootstrap(groups, means, seed=settings.seed)
    return {
        name: summarise_angles([row[name] for row in at_angle], degrees, intervals.get(name))
        for name in finite(at_angle[0])
    }


def _difference(answers: Answers, rotations: Sequence[Rotation]) -> float | None:
    """Largest difference of a probability among the rotations that move whole pixels."""
    exact = [index for index, rotation in enumerate(rotations) if index and rotation.degrees % 90 == 0]
    return float(np.abs(answers[exact] - answers[0]).max()) if exact else None
