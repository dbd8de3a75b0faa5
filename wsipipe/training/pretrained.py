"""Initialisation from pretrained weights, whose licence is inherited."""

import torch
from torch import nn

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import find_weights, verified_card
from wsipipe.models.networks.registry import load
from wsipipe.training.datasets.about import NOT_STATED

Groups = dict[str, tuple[str, ...]]
HEAD = "head."
"""Prefix of the output layer, which a new task may replace."""


def load_pretrained(network: nn.Module, weights: str, mode: str) -> nn.Module:
    """Copy pretrained weights into a network, in place.

    A head with other outputs keeps its initial weights. Where the network has all maps of the pretrained one,
    and further ones after them, the weights of these maps are copied too.

    Args:
        network: Newly built network.
        weights: Name of a model, or its ``.safetensors`` file with the card beside it.
        mode: Kind of ring convolution of ``network``.

    Raises:
        ModelError: The weights are missing or damaged.
        ConfigError: The weights belong to another network.
    """
    trained, card = load(weights)
    if card.mode != mode:
        raise ConfigError(
            f"network.start {weights} has rings of mode {card.mode}, but network.mode is {mode}. Set "
            f"network.mode={card.mode}, or choose other weights."
        )
    state, found = network.state_dict(), trained.state_dict()
    fits = {name for name in state if name in found and found[name].shape == state[name].shape}
    missing = [name for name in state if name not in fits and not name.startswith(HEAD)]
    unused = [name for name in found if name not in fits and not name.startswith(HEAD)]
    if missing or unused:
        raise ConfigError(
            f"network.start {weights} does not fit this network: it is a {card.architecture} with "
            f"{card.arguments}, and the first difference is at {(missing or unused)[0]}. Set "
            "network.architecture and network.arguments to those of the weights, or choose others."
        )
    with torch.no_grad():
        for name in fits:
            state[name].copy_(found[name])
        for name in found:
            if name.startswith(HEAD) and name in state and name not in fits and card.activation == "sigmoid":
                _copy_first(state[name], found[name])
    return network


def _copy_first(head: torch.Tensor, trained: torch.Tensor) -> None:
    """Copy the weights of the first outputs, if the head has these and more."""
    if len(head) > len(trained) and head.shape[1:] == trained.shape[1:]:
        head[: len(trained)].copy_(trained)


def inherit_licence(card: ModelCard, weights: str) -> ModelCard:
    """Add data, groups and licence of pretrained weights to a card."""
    before = verified_card(find_weights(weights))
    licences = dict.fromkeys((before.licence or NOT_STATED, card.licence))
    bound = {
        "data": (*card.data, f"before that, as {before.name}: {'; '.join(before.data)}"),
        "trained_groups": _merge_groups(card.trained_groups, before.trained_groups),
        "licence": card.licence if before.licence == "CC0 1.0" else " and ".join(licences),
        "non_commercial": before.non_commercial or card.non_commercial,
    }
    return card.model_copy(update=bound)


def _merge_groups(one: Groups, other: Groups) -> Groups:
    """Merge the groups by source of two trainings.

    A source that one of them lists without groups counts as a whole.
    """
    names = sorted({*one, *other})
    return {
        name: ()
        if () in (one.get(name), other.get(name))
        else tuple(sorted({*one.get(name, ()), *other.get(name, ())}))
        for name in names
    }
