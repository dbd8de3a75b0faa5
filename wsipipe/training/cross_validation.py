"""Cross-validation, followed by training on all data.

The final weights are trained on all data and calibrated on all folds.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from wsipipe.common.atomic_files import write_json
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import SUFFIX
from wsipipe.models.networks.registry import load
from wsipipe.training.card import with_metrics
from wsipipe.training.datasets.annotated_slides import DataSource
from wsipipe.training.fit import FitStatus
from wsipipe.training.recipe import Recipe
from wsipipe.training.result_files import read_result
from wsipipe.training.start_overlap import start_caution
from wsipipe.training.tasks.task import Predictions, TrainingTask
from wsipipe.training.train import Training, TrainingResources
from wsipipe.training.training_log import TrainingReporter

SUMMARY = "cross_validation.json"


def cross_validate(
    recipe: Recipe,
    data: Sequence[DataSource],
    out: Path,
    folds: int,
    resources: TrainingResources,
    reporter: TrainingReporter | None = None,
) -> FitStatus:
    """Train each fold, then a final network on all data.

    Folds are written to ``out/foldK``, the final network to ``out``. An interrupted call resumes.

    The metrics of the card, and of ``out/cross_validation.json``, are measured on samples that were used
    neither for training nor to choose thresholds: the thresholds of a fold are chosen on the other folds. The
    thresholds of the card are chosen on all folds together.

    Returns:
        ``PAUSED`` if the deadline came first.
    """
    training = Training(recipe, data, resources, reporter)
    for fold in range(folds):
        if training.fold(out / f"fold{fold}", fold, folds) is FitStatus.PAUSED:
            return FitStatus.PAUSED
    steps = None
    if recipe.validation.early_stopping_steps:
        steps = round(median(read_result(out / f"fold{fold}")["steps"] for fold in range(folds)))
    if training.fold(out, None, folds, steps) is FitStatus.PAUSED:
        return FitStatus.PAUSED
    if not (out / SUMMARY).is_file():
        _calibrate(training, out, folds)
    return FitStatus.FINISHED


def _calibrate(training: Training, out: Path, folds: int) -> None:
    """Write thresholds and metrics of all folds to the final card."""
    training.reporter.message("choosing thresholds on the held-out samples of all folds")
    task, name = training.task, f"{training.recipe.name}{SUFFIX}"
    predictions: list[Predictions] = []
    for fold in range(folds):
        network, card = load(out / f"fold{fold}" / name)
        network = network.to(training.device)
        held_out = training.split(fold, folds)[1]
        plain = card.model_copy(update={"temperature": 1.0})
        predictions.append(task.predict(network, plain, held_out, training.where))
    network, card = load(out / name)
    each = [_score_unseen(task, card, predictions, fold) for fold in range(folds)]
    weights = np.array([len(one) for one in predictions], float)
    mean = {key: float(np.average([one[key] for one in each], weights=weights)) for key in each[0]}
    together = [prediction for one in predictions for prediction in one]
    card = with_metrics(task.calibrate(card, together), mean)
    notes = (
        f"{card.notes.split('.')[0]}. Trained on all data. Metrics are the mean of {folds} folds by "
        f"{training.recipe.validation.group}, each measured by a network that was not trained on it, with "
        "thresholds chosen on the other folds; the card's thresholds are chosen on all folds."
    )
    notes = f"{notes} {start_caution(training.recipe, training.task.samples)}".strip()
    card = training.save(network, card.model_copy(update={"notes": notes}), out)
    write_json(out / SUMMARY, {"mean": card.metrics, "folds": each})


def _score_unseen(
    task: TrainingTask, card: ModelCard, predictions: list[Predictions], fold: int
) -> dict[str, float]:
    """Score a fold with the thresholds chosen on the other folds."""
    others = [prediction for index, one in enumerate(predictions) for prediction in one if index != fold]
    return task.score(task.calibrate(card, others), predictions[fold])
