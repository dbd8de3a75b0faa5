"""Find tissue in an overview by colour and texture.

The overview has about 8 µm/px; see ``docs/tissue.md``. All decisions use integers (thousandths of optical
density) and symmetric windows, so the mask of a rotated or mirrored overview is exactly the rotated or
mirrored mask.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wsipipe.errors import ConfigError
from wsipipe.tiling.glass import glass_colour
from wsipipe.tiling.morphology import Mask, dilated, eroded, opened, without_holes, without_specks
from wsipipe.tiling.optical_density import REACH_PX, TEXTURE_HALF_PX, OpticalDensity, density_of
from wsipipe.tiling.tissue_params import TissueParams as TissueParams

# Excess of green's density over red's, and twice over red's and blue's mean, of pale tissue (thousandths).
_GREEN_OVER_RED, _GREEN_OVER_BOTH = 10, 16
_PIECE_SHARE = 1 / 16
"""A piece that covers this share of the scanned part is kept: it may extend beyond the image."""
_BAND_PX = 256
_BAND_MARGIN_PX = REACH_PX + TEXTURE_HALF_PX
"""Rows of margin of the densities and of the minimal roughness nearby."""


def find_tissue(rgb: npt.NDArray[np.uint8], scanned: Mask, mpp: float, params: TissueParams) -> Mask:
    """Find tissue in an overview of a slide.

    Args:
        rgb: Overview (H, W, 3) uint8 at about 8 um/px (useful range 4 to 30).
        scanned: Scanned pixels (H, W) bool.
        mpp: Micrometres per px of the overview.
        params: Thresholds and sizes.

    Returns:
        (H, W) bool: tissue with a margin of ``margin_um``; False where not scanned.

    Raises:
        ConfigError: The arrays differ in extent, or mpp is not above 0.
    """
    if rgb.shape != (*scanned.shape, 3) or not mpp > 0:
        raise ConfigError(
            f"Tissue cannot be found in an overview of {rgb.shape} px with a mask of {scanned.shape} px "
            f"at {mpp} um/px. Give (H, W, 3) and (H, W) of one extent and an mpp above 0."
        )
    if not scanned.any():
        return np.zeros(scanned.shape, np.bool_)
    stained, flat = _stained_and_flat(rgb, scanned, params)
    stained &= ~_flat_ink(flat, mpp)
    return _shaped(stained & scanned, scanned, mpp, params) & scanned


def _stained_and_flat(rgb: npt.NDArray[np.uint8], scanned: Mask, params: TissueParams) -> tuple[Mask, Mask]:
    """Return the masks of stained pixels and of ink.

    Masks are (H, W); they are computed by bands to save memory.
    """
    glass, height = glass_colour(rgb, scanned), len(rgb)
    stained, flat = np.empty_like(scanned), np.empty_like(scanned)
    for y in range(0, height, _BAND_PX):
        first, end = max(0, y - _BAND_MARGIN_PX), min(height, y + _BAND_PX + _BAND_MARGIN_PX)
        density = density_of(rgb[first:end], scanned[first:end], glass)
        own = slice(y - first, y - first + _BAND_PX)
        stained[y : y + _BAND_PX] = _stained(density, params)[own]
        flat[y : y + _BAND_PX] = _flat(density, params)[own]
    return stained, flat


def _shaped(mask: Mask, scanned: Mask, mpp: float, params: TissueParams) -> Mask:
    # Areas that were not scanned, or lie outside the image, may be tissue: they do not erode a piece.
    unscanned = ~scanned
    mask = eroded(dilated(mask, params.close_um / mpp) | unscanned, params.close_um / mpp) & scanned
    mask = dilated(eroded(mask | unscanned, params.open_um / mpp) & mask, params.open_um / mpp)
    least_px = min(params.min_area_um2 / mpp**2, _PIECE_SHARE * scanned.sum())
    mask = without_specks(mask, least_px)
    return dilated(without_holes(mask, params.hole_um2 / mpp**2), params.margin_um / mpp)


def _stained(density: OpticalDensity, params: TissueParams) -> Mask:
    """Return stain-coloured pixels that are dense, or faint and rough.

    Dense pixels of any colour count if all pixels nearby are rough.
    """
    red, green, blue, total, rough = density
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    coloured = (chroma >= 12) & (12 * chroma >= total)
    # Eosin and haematoxylin absorb green most, DAB blue; blue and green pens absorb red most.
    stain = coloured & (4 * red <= 5 * green) & (blue <= 2 * green)
    dense = total >= 1000 * params.stained_od
    faint = (total >= 1000 * params.faint_od) & (rough >= 1000 * params.texture_od)
    # Pale tissue may be smooth at 8 um/px; unlike glass, it absorbs more green than red.
    pink = (green - red >= _GREEN_OVER_RED) & (2 * green - red - blue >= _GREEN_OVER_BOTH)
    pink &= 2 * total >= 1000 * params.faint_od
    # The minimal roughness nearby, since the edge of a pen stroke is rough and its inside is not.
    share = np.where(total > 60, 1000 * rough // np.maximum(total, 1), 0)
    tinted = coloured & dense & (ndimage.minimum_filter(share, 2 * TEXTURE_HALF_PX + 1) >= 30)
    return (stain & (dense | faint | pink)) | tinted


def _flat(density: OpticalDensity, params: TissueParams) -> Mask:
    """Return dense pixels without texture, or scarlet ones with little."""
    red, green, blue, total, rough = density
    flat = (total >= 1000) & (rough <= params.flat_share * total)
    scarlet = (5 * red <= green) & (100 * blue >= 72 * green)
    return flat | (scarlet & (total >= 300) & (rough <= 2 * params.flat_share * total))


def _flat_ink(flat: Mask, mpp: float) -> Mask:
    """Return wide areas of flat pixels, including their edges."""
    reach_px = 2 * TEXTURE_HALF_PX + 2
    return dilated(opened(flat, 24 / mpp), reach_px)
