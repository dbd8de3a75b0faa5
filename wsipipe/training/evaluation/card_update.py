"""Scores of an evaluation in the card of its weights."""

from pathlib import Path

from wsipipe.models.cards.weights import find_weights, read_card, write_card
from wsipipe.training.evaluation.models import weights_in
from wsipipe.training.evaluation.record import Evaluation

MARK = " Scores by wsipipe evaluate:"


def put_into_card(evaluation: Evaluation, weights: str | Path) -> Path:
    """Replace metrics and intervals of a card.

    Its notes say on which samples they were measured.

    Args:
        evaluation: Evaluation of these weights, or of the folds of their cross-validation.
        weights: Weights as given to the evaluation; for a folder, the card of its weights is updated.

    Returns:
        Path of the card.

    Raises:
        ModelError: The weights are missing.
        ConfigError: The folder has no weights trained on all data.
    """
    folder = Path(weights).expanduser()
    path = weights_in(folder) if folder.is_dir() else find_weights(weights)
    card = read_card(path)
    metrics, intervals = evaluation.card_metrics()
    notes = f"{card.notes.split(MARK)[0]}{MARK} {_describe_samples(evaluation)}.".strip()
    changes = {"metrics": metrics, "intervals": intervals, "notes": notes}
    return write_card(card.model_copy(update=changes), path.parent)


def _describe_samples(evaluation: Evaluation) -> str:
    """Describe the scored samples for the notes of the card."""
    setup = evaluation.setting
    kind = "fields" if evaluation.task == "nuclei" else "tiles"
    groups = f" ({', '.join(setup.groups)})" if 0 < len(setup.groups) <= 12 else ""
    if len(setup.weights_sha256) > 1:
        return (
            f"{setup.samples} {kind}{groups}, each evaluated by the one of {len(setup.weights_sha256)} "
            "networks that was not trained on it, with the other folds' thresholds"
        )
    trained = sum(evaluation.trained_on.values())
    caution = f", {trained} of which it was trained on: not a test" if trained else ""
    return f"{setup.samples} {kind}{groups} of the evaluated data{caution}"
