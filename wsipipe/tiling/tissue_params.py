"""Parameters of tissue detection."""

from pydantic import BaseModel, ConfigDict, Field


class TissueParams(BaseModel):
    """Parameters that separate tissue from glass, ink and dust.

    Attributes:
        stained_od: Minimal optical density (red + green + blue) of stain-coloured tissue.
        faint_od: Minimal density of textured tissue; half of it for pink tissue.
        texture_od: Minimal local roughness of faint tissue, in optical density.
        flat_share: Roughness per density below which dense pixels are ink.
        close_um: Half the width of gaps that are closed; keeps fat tissue together.
        open_um: Half the width of strands that are removed.
        min_area_um2: Area below which pieces are removed.
        hole_um2: Area below which holes are filled.
        margin_um: Margin added around tissue, so that nuclei at its edge are inside.
        only_regions: Whether only the regions of interest are computed, with a margin of 32 um.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stained_od: float = Field(default=0.12, gt=0, le=3)
    faint_od: float = Field(default=0.045, gt=0, le=3)
    texture_od: float = Field(default=0.008, ge=0, le=1)
    flat_share: float = Field(default=0.012, ge=0, le=1)
    close_um: float = Field(default=32, ge=0, le=500)
    open_um: float = Field(default=8, ge=0, le=500)
    min_area_um2: float = Field(default=10_000, ge=0)
    hole_um2: float = Field(default=40_000, ge=0)
    margin_um: float = Field(default=16, ge=0, le=500)
    only_regions: bool = False
