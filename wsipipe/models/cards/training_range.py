"""Ranges of the training data, which slides are compared to."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Range = tuple[Amount, Amount]


class TrainingRange(BaseModel):
    """Ranges over the fields or tiles a network was trained on.

    They are written by the training.

    Attributes:
        hue_degrees: Hues of the dyes' colour, least and most; see :mod:`wsipipe.stages.hues`.
        least_brightness: Least median brightness (mean of red, green and blue) of a field.
        nuclei_per_mm2: Least and most nuclei per mm2 of a field; None where nothing is counted.
        nucleus_area_um2: Least and most median area of a field's nuclei; None likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hue_degrees: Range
    least_brightness: Amount
    nuclei_per_mm2: Range | None = None
    nucleus_area_um2: Range | None = None


class Known(BaseModel):
    """Features of the training data of a classifier.

    See :mod:`wsipipe.models.known_features`.

    Attributes:
        sha256: SHA-256 of the file ``NAME.known.npy`` beside the weights.
        limit: Largest distance of features to the nearest known ones at which a class is given.
        false_share: Share of held-out cells of the trained classes that lie beyond the limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    limit: float = Field(gt=0, lt=2)
    false_share: float = Field(ge=0, le=1)
