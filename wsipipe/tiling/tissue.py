"""Overview of a slide at about 8 um/px -> tissue mask, from colour and texture together (``docs/tissue.md``).

All decisions are taken on whole numbers (thousandths of optical density) with symmetric windows, so the mask
of a turned or mirrored overview is the turned or mirrored mask, bit by bit.
"""

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from wsipipe.errors import ConfigError
from wsipipe.tiling.glass import glass_colour
from wsipipe.tiling.morphology import Mask, dilated, eroded, opened, without_holes, without_specks
from wsipipe.tiling.optical_density import REACH_PX, TEXTURE_HALF_PX, Density, density_of

# Excess of green's density over red's, and twice over red's and blue's mean, of pale tissue (thousandths).
_GREEN_OVER_RED, _GREEN_OVER_BOTH = 10, 16
_PIECE_SHARE = 1 / 16
"""No piece is too small that covers this share of the scanned part: it may go on beyond the picture."""
_BAND_PX = 256
_BAND_MARGIN_PX = REACH_PX + TEXTURE_HALF_PX
"""Rows that the densities, and the least roughness around, look beyond their own."""


class TissueParams(BaseModel):
    """How tissue is told from glass, ink and dust.

    Attributes:
        stained_od: Optical density (red + green + blue) from which stain-coloured pixels are tissue.
        faint_od: Density from which they are tissue if they are textured too; half of it if they are pink.
        texture_od: Least local roughness of faint tissue, in optical density.
        flat_share: Roughness per density below which something dense is ink, not tissue.
        close_um: Gaps narrower than twice this are bridged; holds fat together.
        open_um: Strands thinner than twice this are dropped.
        min_area_um2: Smaller pieces are dropped.
        hole_um2: Smaller holes are filled.
        margin_um: Added all round, so that nuclei at the rim are inside.
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


def find_tissue(rgb: npt.NDArray[np.uint8], scanned: Mask, mpp: float, params: TissueParams) -> Mask:
    """Overview RGB (H, W, 3) uint8 -> tissue (H, W) bool; False wherever ``scanned`` is.

    Args:
        rgb: The whole slide at about 8 um/px (4 to 30 are sensible).
        scanned: (H, W) bool, False where the scanner recorded nothing.
        mpp: Um per px of the overview.
        params: Thresholds and sizes.

    Returns:
        True on tissue and up to ``margin_um`` beside it; all False on a slide of glass.

    Raises:
        ConfigError: The two arrays differ in extent, or mpp is not above 0.
    """
    if rgb.shape != (*scanned.shape, 3) or not mpp > 0:
        raise ConfigError(
            f"Tissue was sought in an overview of {rgb.shape} px with a scanned mask of {scanned.shape} px "
            f"at {mpp} um/px; give (H, W, 3) and (H, W) of one extent and an mpp above 0."
        )
    if not scanned.any():
        return np.zeros(scanned.shape, np.bool_)
    stained, flat = _judged(rgb, scanned, params)
    stained &= ~_flat_ink(flat, mpp)
    return _shaped(stained & scanned, scanned, mpp, params) & scanned


def _judged(rgb: npt.NDArray[np.uint8], scanned: Mask, params: TissueParams) -> tuple[Mask, Mask]:
    """Pixels that look stained, and those that look like ink (H, W): band by band, for memory's sake."""
    glass, height = glass_colour(rgb, scanned), len(rgb)
    stained, flat = np.empty_like(scanned), np.empty_like(scanned)
    for y in range(0, height, _BAND_PX):
        first, end = max(0, y - _BAND_MARGIN_PX), min(height, y + _BAND_PX + _BAND_MARGIN_PX)
        look = density_of(rgb[first:end], scanned[first:end], glass)
        own = slice(y - first, y - first + _BAND_PX)
        stained[y : y + _BAND_PX] = _stained(look, params)[own]
        flat[y : y + _BAND_PX] = _flat(look, params)[own]
    return stained, flat


def _shaped(mask: Mask, scanned: Mask, mpp: float, params: TissueParams) -> Mask:
    # What was not scanned may be tissue, as may what lies off the picture: neither wears a piece down.
    unscanned = ~scanned
    mask = eroded(dilated(mask, params.close_um / mpp) | unscanned, params.close_um / mpp) & scanned
    mask = dilated(eroded(mask | unscanned, params.open_um / mpp) & mask, params.open_um / mpp)
    least_px = min(params.min_area_um2 / mpp**2, _PIECE_SHARE * scanned.sum())
    mask = without_specks(mask, least_px)
    return dilated(without_holes(mask, params.hole_um2 / mpp**2), params.margin_um / mpp)


def _stained(look: Density, params: TissueParams) -> Mask:
    """Pixels of a stain's colour that are dense, or faint and rough; or of any colour if rough all around."""
    red, green, blue, total, rough = look
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    coloured = (chroma >= 12) & (12 * chroma >= total)
    # Eosin and haematoxylin absorb green most, DAB blue; blue and green pens absorb red most.
    stain = coloured & (4 * red <= 5 * green) & (blue <= 2 * green)
    dense = total >= 1000 * params.stained_od
    faint = (total >= 1000 * params.faint_od) & (rough >= 1000 * params.texture_od)
    # Pale tissue may be even at 8 um/px; that it absorbs more green than red tells it from glass.
    pink = (green - red >= _GREEN_OVER_RED) & (2 * green - red - blue >= _GREEN_OVER_BOTH)
    pink &= 2 * total >= 1000 * params.faint_od
    # The least roughness around, since the edge of a pen's stroke is rough and its inside is not.
    share = np.where(total > 60, 1000 * rough // np.maximum(total, 1), 0)
    tinted = coloured & dense & (ndimage.minimum_filter(share, 2 * TEXTURE_HALF_PX + 1) >= 30)
    return (stain & (dense | faint | pink)) | tinted


def _flat(look: Density, params: TissueParams) -> Mask:
    """Dense pixels without texture, or with little and as red as no stain."""
    red, green, blue, total, rough = look
    flat = (total >= 1000) & (rough <= params.flat_share * total)
    scarlet = (5 * red <= green) & (100 * blue >= 72 * green)
    return flat | (scarlet & (total >= 300) & (rough <= 2 * params.flat_share * total))


def _flat_ink(flat: Mask, mpp: float) -> Mask:
    """Wide areas of flat pixels, with their edges."""
    reach_px = 2 * TEXTURE_HALF_PX + 2
    return dilated(opened(flat, 24 / mpp), reach_px)
