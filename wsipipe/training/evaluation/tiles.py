"""Evaluation of tissue networks: each tile upright, mirrored, and turned on its reflected plane."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.training.evaluation.learnt import learnt_among
from wsipipe.training.evaluation.metrics import bootstrap, class_scores, confusion
from wsipipe.training.evaluation.models import Part
from wsipipe.training.evaluation.record import Evaluation, OverAngles, Scores, estimates, known, over_angles
from wsipipe.training.evaluation.rotation import UPRIGHT, Pose
from wsipipe.training.evaluation.settings import Plan, Ticks, setting_of
from wsipipe.training.evaluation.tile_outputs import TileClassifier
from wsipipe.training.samples import Tile

Answers = npt.NDArray[np.float64]
"""Probabilities (poses, tiles, classes)."""
Indices = npt.NDArray[np.int64]


def evaluate_tiles(parts: Sequence[Part[Tile]], plan: Plan) -> Evaluation:
    """Evaluation of a tissue network, or of one a fold, on the tiles whose class it has.

    Raises:
        ModelError: A network does not classify.
        ConfigError: No tile is left to score, or the folds' classes differ.
    """
    names = common_classes([part.card for part in parts])
    tiles = [tile for part in parts for tile in part.samples]
    strange = [tile.class_name for tile in tiles if tile.class_name not in names]
    kept = plan.select([tile for tile in tiles if tile.class_name in names])
    asked = [(part, one) for part in parts for one in part.samples if one in kept]
    chosen = [tile for _, tile in asked]
    poses = (UPRIGHT, *plan.mirrors, *plan.turns[1:])
    classifiers = [(TileClassifier(part.predictor, part.card), one) for part, one in asked]
    answers = _answers(classifiers, poses, plan)
    truth = np.array([names.index(tile.class_name) for tile in chosen])
    groups = [tile.group for tile in chosen]
    means = class_scores(truth, answers[0])
    intervals = bootstrap(groups, lambda one: class_scores(truth[one], answers[0][one]), seed=plan.seed)
    mirrors, turned = np.split(answers[1:], [len(plan.mirrors)])
    return Evaluation(
        task="tissue",
        setting=setting_of([part.predictor for part in parts], groups),
        **learnt_among(asked),
        left_out={f"class {name} is not the network's": strange.count(name) for name in sorted(set(strange))},
        original=estimates(means, intervals, dict.fromkeys(means, len(chosen))),
        mirrored={
            pose.name: known(class_scores(truth, one))
            for pose, one in zip(plan.mirrors, mirrors, strict=True)
        },
        degrees=[pose.degrees for pose in plan.turns],
        turned=_over_angles(truth, np.concatenate([answers[:1], turned]), groups, plan),
        orientation_difference=_difference(answers, poses),
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


def _answers(asked: Sequence[tuple[TileClassifier, Tile]], poses: Sequence[Pose], plan: Plan) -> Answers:
    ticks = Ticks(plan, len(asked) * len(poses))
    by_tile = []
    for classifier, tile in asked:
        shown = classifier.show(tile)
        by_tile.append([ticks(classifier.answer(shown, pose)) for pose in poses])
    return np.array(by_tile).swapaxes(0, 1)


def _over_angles(truth: Indices, turned: Answers, groups: Sequence[str], plan: Plan) -> dict[str, OverAngles]:
    if not plan.turns:
        return {}
    degrees = [pose.degrees for pose in plan.turns]
    at_angle = [class_scores(truth, one) for one in turned]
    # A tile's share of right angles averages to accuracy and recall over angles, without scoring each anew.
    share = (turned.argmax(axis=2) == truth).mean(axis=0)

    def means(chosen: Indices) -> Scores:
        part, labels = share[chosen], truth[chosen]
        recalls = [part[labels == label].mean() for label in np.unique(labels)]
        return {"accuracy": float(part.mean()), "balanced_accuracy": float(np.mean(recalls))}

    intervals = bootstrap(groups, means, seed=plan.seed)
    return {
        name: over_angles([row[name] for row in at_angle], degrees, intervals.get(name))
        for name in known(at_angle[0])
    }


def _difference(answers: Answers, poses: Sequence[Pose]) -> float | None:
    """Largest difference of a probability among the poses that move whole pixels."""
    exact = [index for index, pose in enumerate(poses) if index and pose.degrees % 90 == 0]
    return float(np.abs(answers[exact] - answers[0]).max()) if exact else None
