"""Scored samples that the weights were trained on.

Model card and training record are the sources.
"""

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
    """Scored samples of the training data, with a caution.

    Attributes:
        trained_on: Number of scored samples that the weights were trained on, by source.
        caution: Explanation for the reader; empty where there are none.
    """

    trained_on: dict[str, int]
    caution: str


def groups_trained_on(samples: Iterable[Field | Tile]) -> dict[str, tuple[str, ...]]:
    """Return groups by source for the card of a training.

    None are listed for sources with more than 200 groups.
    """
    found: dict[str, set[str]] = {}
    for one in samples:
        found.setdefault(one.source, set()).add(one.group)
    return {
        source: tuple(sorted(groups)) if len(groups) <= MOST_GROUPS else ()
        for source, groups in sorted(found.items())
    }


def held_out_beside(weights: str | Path) -> frozenset[str]:
    """Return ``source/name`` of samples that a training held out.

    The result is empty where this is unknown.
    """
    try:
        record = json.loads((find_weights(weights).parent / "run.json").read_bytes())
        return frozenset(record["held_out"])
    except (OSError, ValueError, KeyError, TypeError, ModelError):
        return frozenset()


def is_trained_on(card: ModelCard, one: Field | Tile) -> bool:
    """Return whether the card lists a sample as training data.

    It is decided by group where the card lists groups, else by source.
    """
    groups = card.trained_groups.get(one.source)
    if groups is not None:
        return not groups or one.group in groups
    return any(_names(card, source) for source in sharing(one.source))


def trained_among[S: (Field, Tile)](scored: Sequence[tuple[ModelSamples[S], S]]) -> TrainedOn:
    """Count scored samples of the training data and write a caution.

    Args:
        scored: Network and sample of each score.
    """
    trained = [
        one
        for model, one in scored
        if f"{one.source}/{one.name}" not in model.held_out and is_trained_on(model.card, one)
    ]
    counts = dict(sorted(Counter(one.source for one in trained).items()))
    if not counts:
        return TrainedOn(trained_on={}, caution="")
    named = ", ".join(f"{count} of {source}" for source, count in counts.items())
    total = "all" if len(trained) == len(scored) else f"{len(trained)} of the {len(scored)}"
    caution = (
        f"The card of {scored[0][0].card.name} says that it was trained on {total} samples scored here "
        f"({named}). Their scores are too optimistic for new slides. "
        f"{_remedy([one for _, one in scored], trained)}"
    )
    return TrainedOn(trained_on=counts, caution=caution)


def _remedy(samples: Sequence[Field | Tile], known: Sequence[Field | Tile]) -> str:
    groups = sorted({one.group for one in samples} - {one.group for one in known})
    if 0 < len(groups) <= MOST_NAMED:
        return f"Give --only-groups {','.join(groups)}, which are not training data, or other data."
    return "Give other data, or the --out folder of wsipipe train --folds."


def _names(card: ModelCard, source: str) -> bool:
    title = re.escape(DATASETS[source].title if source in DATASETS else source)
    # Data of pretrained weights read "before that, as NAME: TITLE: ...; TITLE: ...".
    return any(re.search(rf"(^|[:;] ){title}: ", line) for line in card.data)
