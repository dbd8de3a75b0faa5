"""Which pyramid level a network reads."""

import math

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard

MPP_TOLERANCE = 0.12


def model_level(card: ModelCard, mpp: float, stage: str) -> int:
    """Pyramid level whose mpp the network was trained at.

    Raises:
        ConfigError: No level 2**k of the canvas comes within 12 % of the network's mpp; names ``tile.mpp``.
    """
    level = max(0, round(math.log2(card.mpp / mpp)))
    if abs(mpp * 2**level / card.mpp - 1) > MPP_TOLERANCE:
        raise ConfigError(
            f"{stage}.weights {card.name} work at {card.mpp:g} um/px, but the canvas has {mpp:g} um/px, and "
            f"no halving of it comes within {MPP_TOLERANCE:.0%}; set tile.mpp={card.mpp:g} or choose other "
            f"weights (wsipipe models lists them)."
        )
    return level
