"""Parameters of the section ``quality``."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _several(value: object) -> object:
    """Accept one name or a list of YAML, as well as a tuple."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Fault = Literal["pen", "fold", "blur", "bubble"]
Faults = Annotated[tuple[Fault, ...], BeforeValidator(_several)]


class QualityParams(BaseModel):
    """Thresholds of the quality of a slide.

    Attributes:
        leave_out: Faults whose areas are left out of the tissue, and so of everything that follows.
        ink_od: Least optical density (red + green + blue) of the core of coloured ink.
        black_od: Least optical density of black ink.
        ink_reach_um: Distance that paler ink reaches from its core.
        fold_ratio: Density of a fold in every channel, as a multiple of that of the tissue around it.
        fold_od: Least optical density of a fold.
        blur_fall: Factor by which details of 0.5 um have less energy than those of 2 um where tissue is
            blurred.
        blur_coarse: Energy of coarse details, per variance, below which tissue is blurred.
        min_ink_um2: Area below which the core of ink is not marked.
        min_area_um2: Area below which folds and blurred areas are not marked.
        bubble_od: Least optical density that the outline of a bubble adds to every channel.
        min_bubble_um2: Area below which bubbles are not marked.
        margin_um: Margin added around ink and folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    leave_out: Faults = ()
    ink_od: float = Field(default=0.3, gt=0, le=5)
    black_od: float = Field(default=1.2, gt=0, le=7)
    ink_reach_um: float = Field(default=400, ge=0, le=5000)
    fold_ratio: float = Field(default=1.5, gt=1, le=10)
    fold_od: float = Field(default=0.4, gt=0, le=7)
    blur_fall: float = Field(default=27, gt=1, le=1000)
    blur_coarse: float = Field(default=0.55, ge=0, le=20)
    min_ink_um2: float = Field(default=640, ge=0)
    min_area_um2: float = Field(default=2500, ge=0)
    bubble_od: float = Field(default=0.15, gt=0, le=2)
    min_bubble_um2: float = Field(default=5000, ge=0)
    margin_um: float = Field(default=0, ge=0, le=500)
