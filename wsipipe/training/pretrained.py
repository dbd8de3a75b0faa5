"""Begin from weights that have learnt before: their numbers, and what their card binds the new ones to."""

import torch
from torch import nn

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import find_weights, verified_card
from wsipipe.models.networks.registry import load
from wsipipe.training.datasets.about import NOT_STATED

Groups = dict[str, tuple[str, ...]]
HEAD = "head."
"""Prefix of the layer that makes the outputs, which a new task may need anew."""


def load_pretrained(network: nn.Module, weights: str, mode: str) -> nn.Module:
    """Give ``network`` the numbers of trained weights, in place; a head of other outputs stays fresh.

    Args:
        network: Fresh.
        weights: Name of a model, or its ``.safetensors`` file with the card beside it.
        mode: Kind of ring convolution of ``network``.

    Raises:
        ModelError: There are no such weights, or they are damaged.
        ConfigError: They are of another network.
    """
    trained, card = load(weights)
    if card.mode != mode:
        raise ConfigError(
            f"network.start {weights} has rings of mode {card.mode}, but network.mode is {mode}; set "
            f"network.mode={card.mode}, or start from others."
        )
    state, found = network.state_dict(), trained.state_dict()
    fits = {name for name in state if name in found and found[name].shape == state[name].shape}
    missing = [name for name in state if name not in fits and not name.startswith(HEAD)]
    unused = [name for name in found if name not in fits and not name.startswith(HEAD)]
    if missing or unused:
        raise ConfigError(
            f"network.start {weights} is a {card.architecture} with {card.arguments}, and does not fit this "
            f"network (first at {(missing or unused)[0]}). Set network.architecture and network.arguments to "
            "its, or start from others."
        )
    with torch.no_grad():
        for name in fits:
            state[name].copy_(found[name])
    return network


def inherit_licence(card: ModelCard, weights: str) -> ModelCard:
    """The card of what begins from ``weights``: it tells what these learnt from, and keeps their licence."""
    before = verified_card(find_weights(weights))
    licences = dict.fromkeys((before.licence or NOT_STATED, card.licence))
    bound = {
        "data": (*card.data, f"before that, as {before.name}: {'; '.join(before.data)}"),
        "trained_groups": _together(card.trained_groups, before.trained_groups),
        "licence": card.licence if before.licence == "CC0 1.0" else " and ".join(licences),
        "non_commercial": before.non_commercial or card.non_commercial,
    }
    return card.model_copy(update=bound)


def _together(one: Groups, other: Groups) -> Groups:
    """Groups of two trainings by source; a source that one names without groups stays whole."""
    names = sorted({*one, *other})
    return {
        name: ()
        if () in (one.get(name), other.get(name))
        else tuple(sorted({*one.get(name, ()), *other.get(name, ())}))
        for name in names
    }
