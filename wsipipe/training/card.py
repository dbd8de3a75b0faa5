"""Model cards of trained networks.

A card is made from the recipe, the task and the training samples.
"""

from collections.abc import Iterable
from pathlib import Path

from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.training_range import Known
from wsipipe.models.cards.weights import SUFFIX
from wsipipe.models.known_features import write_known
from wsipipe.training.datasets.about import describe_source, licence_of
from wsipipe.training.evaluation.trained_on import groups_trained_on
from wsipipe.training.known_features import KnownFeatures
from wsipipe.training.recipe import Recipe, Validation
from wsipipe.training.tasks.task import SampleList, TrainingTask

MOST_NAMED = 8


def blank_card(recipe: Recipe, task: TrainingTask, train_samples: SampleList) -> ModelCard:
    """Return the card of a network before training.

    It has no thresholds, metrics, notes and hash yet. Its licence is the strictest of the data sets.
    """
    licence, forbids = licence_of(one.source for one in train_samples)
    return ModelCard(
        name=recipe.name,
        architecture=recipe.network.architecture,
        arguments=recipe.network.arguments | task.arguments,
        mode=recipe.network.mode,
        mpp=recipe.mpp,
        stain=recipe.stain,
        organ=recipe.organ,
        outputs=task.outputs,
        types=tuple(recipe.samples.types),
        activation=task.activation,
        stain_reference=task.stain_reference,
        sha256="0" * 64,
        data=tuple(describe_source(source, count) for source, count in task.describe(train_samples).items()),
        trained_groups=groups_trained_on(train_samples),
        licence=recipe.licence or licence,
        non_commercial=forbids if recipe.non_commercial is None else recipe.non_commercial,
        training_range=task.training_range(train_samples),
    )


def with_known(card: ModelCard, features: KnownFeatures | None, folder: Path) -> ModelCard:
    """Add known features to a card and write them beside the weights.

    Args:
        card: Card of the weights.
        features: Known features; None leaves the card unchanged.
        folder: Folder of the weights.
    """
    if features is None:
        return card
    sha256 = write_known(features.directions, folder / f"{card.name}{SUFFIX}")
    known = Known(sha256=sha256, limit=features.limit, false_share=features.false_share)
    return card.model_copy(update={"known": known})


def with_metrics(card: ModelCard, scores: dict[str, float]) -> ModelCard:
    """Add scores to a card, rounded to four places."""
    return card.model_copy(update={"metrics": {name: round(value, 4) for name, value in scores.items()}})


def training_notes(
    validation: Validation, done: str, fold: int | None, folds: int, held_out: SampleList
) -> str:
    """Describe a training for its card.

    Args:
        validation: What the recipe holds out.
        done: Duration of the training, as a sentence.
        fold: Held-out fold; None if nothing was held out.
        folds: Number of folds.
        held_out: Held-out samples.
    """
    if validation.leave_out and held_out:
        return left_out_notes(done, validation.leave_out)
    return fold_notes(done, fold, folds, {getattr(one, validation.group) for one in held_out})


def fold_notes(done: str, fold: int | None, folds: int, groups: Iterable[str]) -> str:
    """Describe how the weights were trained and what their metrics mean.

    Args:
        done: Duration of the training, as a sentence.
        fold: Held-out fold; None if nothing was held out.
        folds: Number of folds.
        groups: Held-out groups, named if they are few.
    """
    if fold is None:
        return f"{done} Trained on all data; nothing was held out."
    names = sorted(groups)
    named = f" ({', '.join(names)})" if len(names) <= MOST_NAMED else ""
    return (
        f"{done} Thresholds and metrics are those of fold {fold} of {folds}{named}, which was held out from "
        "training; the thresholds were chosen on it too."
    )


def left_out_notes(done: str, sources: Iterable[str]) -> str:
    """Describe weights trained without some sources, and their metrics.

    Args:
        done: Duration of the training, as a sentence.
        sources: Names of the sources that were held out entirely.
    """
    return (
        f"{done} Trained without the data of {', '.join(sorted(sources))}, on which the metrics were "
        "measured; the thresholds were chosen on it too."
    )
