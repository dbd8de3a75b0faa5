"""Raw scores of a network to probabilities, as its card says."""

import torch

from wsipipe.models.cards.card import ModelCard


def activated(scores: torch.Tensor, card: ModelCard) -> torch.Tensor:
    """Return the probabilities of raw scores.

    Types of nuclei exclude each other in a pixel; other maps are independent.

    Args:
        scores: Raw scores (B, C, h, w), one channel per output of the card.
        card: Card of the network.

    Returns:
        Probabilities (B, C, h, w) in the precision of the scores.
    """
    tempered = scores / card.temperature
    if card.activation == "softmax":
        return tempered.softmax(1)
    if not card.types:
        return tempered.sigmoid()
    first = len(card.maps)
    return torch.cat([tempered[:, :first].sigmoid(), scores[:, first:].softmax(1)], 1)
