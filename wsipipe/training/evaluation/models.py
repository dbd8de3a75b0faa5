"""Pairs of models and the samples they are evaluated on.

A single model is evaluated on all samples, each model of a cross-validation on its held-out ones.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import SUFFIX, read_card
from wsipipe.models.predictor import AnyPredictor
from wsipipe.training.samples import Field, Tile


@dataclass(frozen=True)
class EvaluatedModel:
    """Weights and the samples they may be evaluated on.

    Attributes:
        weights: Name or file.
        card: Card with the thresholds to use.
        held_out: ``source/name`` of the held-out samples; None for all samples.
    """

    weights: str
    card: ModelCard
    held_out: frozenset[str] | None = None


@dataclass(frozen=True)
class ModelSamples[S: (Field, Tile)]:
    """Loaded network and the samples it is evaluated on.

    Attributes:
        predictor: Predictor of the network.
        card: Card with the thresholds to use.
        samples: Fields or tiles.
        held_out: ``source/name`` of samples that it was not trained on, whatever the card says.
    """

    predictor: AnyPredictor
    card: ModelCard
    samples: Sequence[S]
    held_out: frozenset[str] = frozenset()


def evaluated_models(weights: str | Path) -> list[EvaluatedModel]:
    """Return the models of weights, or of a cross-validation's folds.

    A fold is evaluated with the median of the other folds' thresholds, as its own were chosen on its held-out
    samples.

    Raises:
        ModelError: The weights are missing.
        ConfigError: The folder has no finished folds.
    """
    folder = Path(weights).expanduser()
    if not folder.is_dir():
        return [EvaluatedModel(str(weights), read_card(weights))]
    files = [weights_in(path.parent) for path in sorted(folder.glob("fold*/run.json"))]
    if len(files) < 2:
        raise ConfigError(
            f"{folder} has {len(files)} folds with weights (fold0/run.json and so on), and a "
            f"cross-validation has at least 2. Name a {SUFFIX} file, or the --out of wsipipe train --folds."
        )
    cards = [read_card(path) for path in files]
    return [
        EvaluatedModel(
            str(path),
            with_median_thresholds(card, [*cards[:index], *cards[index + 1 :]]),
            _held_out(path.parent),
        )
        for index, (path, card) in enumerate(zip(files, cards, strict=True))
    ]


def with_median_thresholds(card: ModelCard, others: Sequence[ModelCard]) -> ModelCard:
    """Set a card's thresholds and instance parameters to the median of others."""
    changes = {}
    for kind in ("thresholds", "instance_params"):
        tables = [getattr(other, kind) for other in others]
        changes[kind] = {name: median(table[name] for table in tables) for name in tables[0]}
    return card.model_copy(update=changes)


def samples_for[S: (Field, Tile)](model: EvaluatedModel, samples: Sequence[S]) -> list[S]:
    """Return the samples that a model may be evaluated on.

    Raises:
        ConfigError: Held-out samples are not among the data.
    """
    if model.held_out is None:
        return list(samples)
    found = [one for one in samples if f"{one.source}/{one.name}" in model.held_out]
    missing = model.held_out - {f"{one.source}/{one.name}" for one in found}
    if missing:
        raise ConfigError(
            f"The data lack {len(missing)} of {len(model.held_out)} samples that {model.weights} held out, "
            f"for example {min(missing)}. Give the --data of its training."
        )
    return found


def weights_in(folder: Path) -> Path:
    """Return the only weight file of a training's folder.

    Raises:
        ConfigError: There is none, or there are several.
    """
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if len(files) != 1:
        raise ConfigError(f"{folder} has {len(files)} {SUFFIX} files, not one. Finish its training first.")
    return files[0]


def _held_out(folder: Path) -> frozenset[str]:
    return frozenset(json.loads((folder / "run.json").read_bytes())["held_out"])
