"""Positivity of nuclei in H-DAB stained slides, as for Ki67.

The optical density of DAB is unmixed from the colour of each pixel and averaged over each nucleus. The
density of a pixel is a sum of three integers from tables, so sums over nuclei are exact: the same for every
tiling and orientation.

Source: Ruifrok and Johnston, Analytical and Quantitative Cytology and Histology 23 (2001), for the
unmixing; QuPath 0.5 for the default vectors of H-DAB, the limits of density and the default thresholds, so
that its "Nucleus: DAB OD mean" is comparable; Hirsch et al., Journal of Clinical Oncology 21 (2003), for
the H-score.
"""

from functools import cache
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from wsipipe.geometry import Array

HAEMATOXYLIN = (0.65111, 0.70119, 0.29049)
DAB = (0.26917, 0.56824, 0.77759)
WHITE = 255
UNIT = 1 << 16
"""Stored value of optical density 1."""


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


@cache
def density_tables() -> Array:
    """Return the part of each colour value in the density of DAB, (3, 256) int64.

    They are in 1 / 65,536 of an optical density, by channel and value. The density is
    log10(255 / value), as if the glass were white.
    """
    first, second = (np.array(vector) / np.sqrt(np.square(vector).sum()) for vector in (HAEMATOXYLIN, DAB))
    residual = np.cross(first, second)
    residual /= np.sqrt(np.square(residual).sum())
    # Column of the inverse of the stain matrix that gives the amount of DAB.
    share = np.cross(residual, first) / (second @ np.cross(residual, first))
    density = -np.log10(np.maximum(np.arange(256), 1) / WHITE)
    return np.rint(share[:, None] * density * UNIT).astype(np.int64)


def mean_density(labels: Array, image: Array, count: int) -> Array:
    """Return the mean optical density of DAB in each nucleus, (count,) float32.

    Args:
        labels: Labels (H, W), 1..count all present, 0 elsewhere.
        image: RGB (H, W, 3) uint8.
        count: Number of labels.
    """
    place = np.flatnonzero(labels)
    label, pixels = labels.ravel()[place], image.reshape(-1, 3)[place]
    density = sum(table[pixels[:, channel]] for channel, table in enumerate(density_tables()))
    # Sums of integers below 2**53 are exact in float64.
    sums, areas = np.bincount(label, density, count + 1)[1:], np.bincount(label, minlength=count + 1)[1:]
    return (sums / areas / UNIT).astype(np.float32)


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
