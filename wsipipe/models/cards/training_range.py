"""What the data that a network learnt from looked like: ranges to which a slide is compared."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Range = tuple[Amount, Amount]


class TrainingRange(BaseModel):
    """Ranges over the fields or tiles that a network learnt from, made by training.

    Attributes:
        hue_degrees: Hues of the dyes' colour, least and most; see :mod:`wsipipe.stages.hues`.
        least_brightness: Least median brightness (mean of red, green and blue) of a field.
        nuclei_per_mm2: Least and most nuclei a mm2 of a field; None where nothing is counted.
        nucleus_area_um2: Least and most median area of a field's nuclei; None likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hue_degrees: Range
    least_brightness: Amount
    nuclei_per_mm2: Range | None = None
    nucleus_area_um2: Range | None = None


class Known(BaseModel):
    """Features that a classifier learnt from; see :mod:`wsipipe.models.known_features`.

    Attributes:
        sha256: Of the file ``NAME.known.npy`` beside the weights.
        limit: Largest distance of features to the nearest known ones at which a class is given.
        false_share: Share of cells of learnt classes, kept aside from the known ones, that are beyond it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    limit: float = Field(gt=0, lt=2)
    false_share: float = Field(ge=0, le=1)
