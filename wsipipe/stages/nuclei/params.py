"""Parameters of nucleus instances, and their conversions."""

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.store.encoding import PROBABILITY_MAX


class InstanceParams(BaseModel):
    """Parameters of the instance stages.

    Lengths are in um, areas in um2, and thresholds are probabilities.

    Attributes:
        nucleus_threshold: Smallest nucleus probability of foreground.
        centre_threshold: Smallest centre probability of seeds, which lie inside the foreground.
        grow_um: Largest distance that a seed grows, in 4-neighbour steps.
        min_seed_um2: Smallest area of a seed; smaller ones are foreground, but start no nucleus.
        min_seedless_um2: Smallest area of a foreground component without a seed that is a nucleus.
        min_area_um2: Smallest area of a nucleus; smaller ones are dropped.
        max_area_um2: Largest area of a nucleus; larger ones are dropped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nucleus_threshold: float = Field(default=0.5, gt=0, le=1)
    centre_threshold: float = Field(default=0.5, gt=0, le=1)
    grow_um: float = Field(default=8.0, gt=0)
    min_seed_um2: float = Field(default=1.0, ge=0)
    min_seedless_um2: float = Field(default=16.0, ge=0)
    min_area_um2: float = Field(default=5.0, ge=0)
    max_area_um2: float = Field(default=600.0, gt=0)

    @model_validator(mode="after")
    def _areas_in_order(self) -> Self:
        if self.min_area_um2 > self.max_area_um2:
            raise ValueError(
                f"min_area_um2={self.min_area_um2} is above max_area_um2={self.max_area_um2}: "
                "no nucleus could be kept. Lower the first or raise the second"
            )
        return self

    @property
    def nucleus_level(self) -> int:
        """Smallest stored nucleus value (1..250) of foreground."""
        return _stored(self.nucleus_threshold)

    @property
    def centre_level(self) -> int:
        """Smallest stored centre value (1..250) of seeds."""
        return _stored(self.centre_threshold)

    def grow_px(self, mpp: float) -> int:
        """Return the growing steps (>= 1), which are also the halo, in px at ``mpp``."""
        return max(1, round(self.grow_um / mpp))

    def min_seed_px(self, mpp: float) -> int:
        """Return the smallest area of a seed in px, >= 1."""
        return _at_least_px(self.min_seed_um2, mpp)

    def min_seedless_px(self, mpp: float) -> int:
        """Return the smallest area of a nucleus without a seed in px, >= 1."""
        return _at_least_px(self.min_seedless_um2, mpp)

    def area_limits_px(self, mpp: float) -> tuple[int, int]:
        """Return the smallest and largest area of a nucleus in px, both allowed."""
        return _at_least_px(self.min_area_um2, mpp), math.floor(self.max_area_um2 / mpp**2)


def with_card(chosen: InstanceParams, card: ModelCard) -> InstanceParams:
    """Complete parameters from the card of the weights.

    Raises:
        ConfigError: The two together are not valid parameters; names the first that is wrong.
    """
    own = {f"{name}_threshold": value for name, value in card.thresholds.items()} | card.instance_params
    try:
        return InstanceParams(**own | chosen.model_dump(include=chosen.model_fields_set))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "its areas"
        raise ConfigError(
            f"instances, completed from the card of {card.name}, is wrong at {name}: {first['msg']}. Set "
            f"instances.{name} in the workflow, or correct the card."
        ) from error


def _stored(probability: float) -> int:
    return max(1, round(probability * PROBABILITY_MAX))


def _at_least_px(area_um2: float, mpp: float) -> int:
    return max(1, math.ceil(area_um2 / mpp**2))
