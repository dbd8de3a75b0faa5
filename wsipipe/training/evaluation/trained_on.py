"""Samples of an evaluation that the weights were trained on, as far as card and training record say."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import find_weights
from wsipipe.training.datasets.about import DATASETS, sharing
from wsipipe.training.evaluation.models import ModelSamples
from wsipipe.training.samples import Field, Tile

MOST_GROUPS = 200
MOST_NAMED = 8


class TrainedOn(TypedDict):
    """Fields of an evaluation's record.

    Attributes:
        trained_on: Scored samples that the weights were trained on, by source.
        caution: What that means, for a person; empty where there are none.
    """

    trained_on: dict[str, int]
    caution: str


def groups_trained_on(samples: Iterable[Field | Tile]) -> dict[str, tuple[str, ...]]:
    """Groups by source, for the card of a training; none are named where there are more than 200."""
    found: dict[str, set[str]] = {}
    for one in samples:
        found.setdefault(one.source, set()).add(one.group)
    return {
        source: tuple(sorted(groups)) if len(groups) <= MOST_GROUPS else ()
        for source, groups in sorted(found.items())
    }


def held_out_beside(weights: str | Path) -> frozenset[str]:
    """``source/name`` of the samples that the training of a weight file held out; empty where unknown."""
    try:
        record = json.loads((find_weights(weights).parent / "run.json").read_bytes())
        return frozenset(record["held_out"])
    except (OSError, ValueError, KeyError, TypeError, ModelError):
        return frozenset()


def is_trained_on(card: ModelCard, one: Field | Tile) -> bool:
    """Whether a card says that its weights were trained on a sample: by group where it names groups."""
    groups = card.trained_groups.get(one.source)
    if groups is not None:
        return not groups or one.group in groups
    return any(_names(card, source) for source in sharing(one.source))


def trained_among[S: (Field, Tile)](asked: Sequence[tuple[ModelSamples[S], S]]) -> TrainedOn:
    """Samples that their network was trained on, and a caution for whoever reads the scores.

    Args:
        asked: Network and sample of each score.
    """
    learnt = [
        one
        for part, one in asked
        if f"{one.source}/{one.name}" not in part.held_out and is_trained_on(part.card, one)
    ]
    counts = dict(sorted(Counter(one.source for one in learnt).items()))
    if not counts:
        return TrainedOn(trained_on={}, caution="")
    named = ", ".join(f"{count} of {source}" for source, count in counts.items())
    total = "all" if len(learnt) == len(asked) else f"{len(learnt)} of the {len(asked)}"
    caution = (
        f"The card of {asked[0][0].card.name} says that it was trained on {total} samples scored here "
        f"({named}). Scores on them show what it remembers and are too good for new slides. "
        f"{_remedy([one for _, one in asked], learnt)}"
    )
    return TrainedOn(trained_on=counts, caution=caution)


def _remedy(scored: Sequence[Field | Tile], learnt: Sequence[Field | Tile]) -> str:
    groups = sorted({one.group for one in scored} - {one.group for one in learnt})
    if 0 < len(groups) <= MOST_NAMED:
        return f"Give --only-groups {','.join(groups)}, which it has not seen, or other data."
    return "Give other data, or the --out folder of wsipipe train --folds."


def _names(card: ModelCard, source: str) -> bool:
    title = re.escape(DATASETS[source].title if source in DATASETS else source)
    # Also as "before that, as NAME: TITLE: ...; TITLE: ...", of the weights that a training began from.
    return any(re.search(rf"(^|[:;] ){title}: ", line) for line in card.data)
