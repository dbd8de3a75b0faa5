"""Which network is asked about which samples: one about all, or each fold's about what it had not learnt."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import SUFFIX, read_card
from wsipipe.models.predictor import Predictor
from wsipipe.training.samples import Field, Tile


@dataclass(frozen=True)
class EvaluatedModel:
    """Weights, and for what they may be asked.

    Attributes:
        weights: Name or file.
        card: With the thresholds to use.
        held_out: ``source/name`` of the samples they had not learnt; None for all.
    """

    weights: str
    card: ModelCard
    held_out: frozenset[str] | None = None


@dataclass(frozen=True)
class ModelSamples[S: (Field, Tile)]:
    """A network ready to run, and the samples it is asked about.

    Attributes:
        predictor: The network.
        card: With the thresholds to use.
        samples: Fields or tiles.
        held_out: ``source/name`` of samples that it was not trained on, whatever the card says.
    """

    predictor: Predictor
    card: ModelCard
    samples: Sequence[S]
    held_out: frozenset[str] = frozenset()


def evaluated_models(weights: str | Path) -> list[EvaluatedModel]:
    """One source for weights; for the folder of a cross-validation, one a fold.

    A fold is judged with the median of the other folds' thresholds, as its own were chosen on it.

    Raises:
        ModelError: The weights are not there.
        ConfigError: The folder holds no finished folds.
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
    """The card with the median of the others' thresholds and instance parameters."""
    changes = {}
    for kind in ("thresholds", "instance_params"):
        tables = [getattr(other, kind) for other in others]
        changes[kind] = {name: median(table[name] for table in tables) for name in tables[0]}
    return card.model_copy(update=changes)


def samples_for[S: (Field, Tile)](source: EvaluatedModel, samples: Sequence[S]) -> list[S]:
    """Those that the source may be asked about.

    Raises:
        ConfigError: Held-out samples are not among the data.
    """
    if source.held_out is None:
        return list(samples)
    found = [one for one in samples if f"{one.source}/{one.name}" in source.held_out]
    missing = source.held_out - {f"{one.source}/{one.name}" for one in found}
    if missing:
        raise ConfigError(
            f"{source.weights} held out {len(source.held_out)} samples, of which the data lack "
            f"{len(missing)}, for example {min(missing)}. Give the --data of its training."
        )
    return found


def weights_in(folder: Path) -> Path:
    """The one weight file of a training's folder.

    Raises:
        ConfigError: There is none, or there are several.
    """
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if len(files) != 1:
        raise ConfigError(f"{folder} holds {len(files)} {SUFFIX} files, not one; is its training finished?")
    return files[0]


def _held_out(folder: Path) -> frozenset[str]:
    return frozenset(json.loads((folder / "run.json").read_bytes())["held_out"])
