"""Weights: those that come with wsipipe, and those that were fetched."""

from wsipipe.common.atomic_files import sha256_of
from wsipipe.errors import ModelError
from wsipipe.models.cards.weights import find_weights, known_models, read_card
from wsipipe.pipeline.doctor.finding import Finding, examined

TOPIC = "models"
_REMEDY = "Install wsipipe again, or fetch these weights again."


def models() -> list[Finding]:
    """Compare each weight file with its card."""
    return [examined(TOPIC, name, _REMEDY, lambda name=name: _weights(name)) for name in known_models()]


def _weights(name: str) -> str:
    card = read_card(name)
    if sha256_of(find_weights(name)) != card.sha256:
        raise ModelError("the file is not the one that its card describes")
    return f"{card.mpp:g} um/px, {card.licence}{', non-commercial' if card.non_commercial else ''}"
