"""An evaluation's scores and intervals into the card of the weights they are of."""

from pathlib import Path

from wsipipe.models.cards.weights import find_weights, read_card, write_card
from wsipipe.training.evaluation.models import weights_in
from wsipipe.training.evaluation.record import Evaluation

MARK = " Scores by wsipipe evaluate:"


def put_into_card(evaluation: Evaluation, weights: str | Path) -> Path:
    """Replace metrics and intervals of a card; its notes say what they are of.

    Args:
        evaluation: Of these weights, or of the folds of their cross-validation.
        weights: As they were given to the evaluation; of a folder, the card of the weights in it.

    Returns:
        The card's file.

    Raises:
        ModelError: There are no such weights.
        ConfigError: The folder holds no weights of all data.
    """
    folder = Path(weights).expanduser()
    path = weights_in(folder) if folder.is_dir() else find_weights(weights)
    card = read_card(path)
    metrics, intervals = evaluation.card_metrics()
    notes = f"{card.notes.split(MARK)[0]}{MARK} {_of_what(evaluation)}.".strip()
    changes = {"metrics": metrics, "intervals": intervals, "notes": notes}
    return write_card(card.model_copy(update=changes), path.parent)


def _of_what(evaluation: Evaluation) -> str:
    how = evaluation.setting
    kind = "fields" if evaluation.task == "nuclei" else "tiles"
    groups = f" ({', '.join(how.groups)})" if 0 < len(how.groups) <= 12 else ""
    if len(how.weights_sha256) > 1:
        return (
            f"{how.samples} {kind}{groups}, each answered by that of {len(how.weights_sha256)} networks "
            "which had not learnt it, with the other folds' thresholds"
        )
    trained = sum(evaluation.trained_on.values())
    caution = f", {trained} of which it was trained on: not a test" if trained else ""
    return f"{how.samples} {kind}{groups} that were given to it{caution}"
