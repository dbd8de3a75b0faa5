"""Held-out samples that the start weights of a training were trained on."""

from collections import Counter
from collections.abc import Sequence

from wsipipe.models.cards.weights import find_weights, verified_card
from wsipipe.training.evaluation.trained_on import held_out_beside, is_trained_on
from wsipipe.training.recipe import Recipe
from wsipipe.training.samples import Field, Tile


def start_caution(recipe: Recipe, held_out: Sequence[Field | Tile]) -> str:
    """Return a caution if the start weights know held-out samples; empty if they do not.

    Samples that the training of the start weights held out itself are not counted.

    Args:
        recipe: Recipe of the training, with its start weights.
        held_out: Samples on which the new network will be measured.
    """
    start = recipe.network.start
    if not start or not held_out:
        return ""
    card, unseen = verified_card(find_weights(start)), held_out_beside(start)
    known = [one for one in held_out if f"{one.source}/{one.name}" not in unseen and is_trained_on(card, one)]
    if not known:
        return ""
    sources = ", ".join(
        f"{count} of {source}" for source, count in sorted(Counter(one.source for one in known).items())
    )
    return (
        f"Caution: the start weights {card.name} were trained on {len(known)} of the {len(held_out)} "
        f"held-out samples ({sources}), so the scores are too high for new slides. Hold out other data, or "
        """train from scratch with --set 'network.start=""'."""
    )
