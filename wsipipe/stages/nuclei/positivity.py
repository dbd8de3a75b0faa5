"""Positivity of nuclei in H-DAB stained slides, as for Ki67.

The optical density of DAB is that of :mod:`wsipipe.stages.nuclei.stains`.

Source: QuPath 0.5 for the default thresholds on its "Nucleus: DAB OD mean"; Hirsch et al., Journal of
Clinical Oncology 21 (2003), for the H-score.
"""

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from wsipipe.geometry import Array


class MeasureParams(BaseModel):
    """Parameters of further measurements of nuclei.

    Attributes:
        positivity: Whether DAB is measured in each nucleus; for slides stained with haematoxylin and DAB.
        dab_thresholds: Smallest mean optical density of nuclei that are 1+, 2+ and 3+; ascending. Nuclei of
            1+ and more are positive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    positivity: bool = False
    dab_thresholds: tuple[float, float, float] = (0.2, 0.4, 0.6)

    @field_validator("dab_thresholds", mode="before")
    @classmethod
    def _from_yaml(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> Self:
        first, second, third = self.dab_thresholds
        if not 0 < first < second < third:
            raise ValueError(
                f"dab_thresholds {first:g}, {second:g}, {third:g} must ascend from above 0; they are the "
                "smallest mean optical densities of 1+, 2+ and 3+"
            )
        return self


def dab_classes(density: Array, params: MeasureParams) -> Array:
    """Return 0 (negative) to 3 (3+) for each mean density, (n,) uint8.

    Args:
        density: Mean densities (n,) float32, as they are stored in the table.
        params: Thresholds.
    """
    limits = np.array(params.dab_thresholds, np.float32)
    return np.asarray((density[:, None] >= limits).sum(1), np.uint8)


def h_score(counts: Array) -> float:
    """Return the H-score, 0 to 300.

    Args:
        counts: Numbers of nuclei (4,) that are negative, 1+, 2+ and 3+; without nuclei the score is 0.
    """
    return float(100 * (counts @ np.arange(4)) / max(1, counts.sum()))
