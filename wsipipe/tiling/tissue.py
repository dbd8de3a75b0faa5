"""Overview of a slide at about 8 um/px -> tissue mask, from colour and texture together (``docs/tissue.md``).

All decisions are taken on whole numbers (thousandths of optical density) with symmetric windows, so the mask
of a turned or mirrored overview is the turned or mirrored mask, bit by bit.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from wsipipe.errors import ConfigError
from wsipipe.tiling.morphology import Mask, closed, dilated, opened, without_holes, without_specks

Milli = npt.NDArray[np.int32]

# Glass is bright and grey: no channel below, and no two channels further apart (grey levels).
_GLASS_LEAST, _GLASS_SPREAD, _GLASS_SHARE = 200, 24, 0.002
_TEXTURE_HALF_PX = 2
_BAND_PX = 256
_BAND_MARGIN_PX = 1 + 3 * _TEXTURE_HALF_PX
"""Rows that the smoothing, the roughness and its least value around look beyond their own."""


class TissueParams(BaseModel):
    """How tissue is told from glass, ink and dust.

    Attributes:
        stained_od: Optical density (red + green + blue) from which stain-coloured pixels are tissue.
        faint_od: Density from which they are tissue if they are textured too.
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


class _Look(NamedTuple):
    """Smoothed densities of the channels, their sum and its local roughness, (H, W) int32 in thousandths."""

    red: Milli
    green: Milli
    blue: Milli
    total: Milli
    rough: Milli


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
    return _shaped(stained & scanned, mpp, params) & scanned


def _judged(rgb: npt.NDArray[np.uint8], scanned: Mask, params: TissueParams) -> tuple[Mask, Mask]:
    """Pixels that look stained, and those that look like ink (H, W): band by band, for memory's sake."""
    glass, height = _glass_colour(rgb, scanned), len(rgb)
    stained, flat = np.empty_like(scanned), np.empty_like(scanned)
    for y in range(0, height, _BAND_PX):
        first, end = max(0, y - _BAND_MARGIN_PX), min(height, y + _BAND_PX + _BAND_MARGIN_PX)
        look = _look(rgb[first:end], scanned[first:end], glass)
        own = slice(y - first, y - first + _BAND_PX)
        stained[y : y + _BAND_PX] = _stained(look, params)[own]
        flat[y : y + _BAND_PX] = _flat(look, params)[own]
    return stained, flat


def _shaped(mask: Mask, mpp: float, params: TissueParams) -> Mask:
    mask = opened(closed(mask, params.close_um / mpp), params.open_um / mpp)
    mask = without_specks(mask, params.min_area_um2 / mpp**2)
    return dilated(without_holes(mask, params.hole_um2 / mpp**2), params.margin_um / mpp)


def _look(rgb: npt.NDArray[np.uint8], scanned: Mask, glass: tuple[int, ...]) -> _Look:
    red, green, blue = (_density(rgb[..., i], glass[i], scanned) for i in range(3))
    total = red + green + blue
    window = (2 * _TEXTURE_HALF_PX + 1) ** 2
    coarse = np.abs(window * total - _window_sum(total, _TEXTURE_HALF_PX)) // window
    return _Look(red, green, blue, total, _window_sum(coarse, _TEXTURE_HALF_PX) // window)


def _glass_colour(rgb: npt.NDArray[np.uint8], scanned: Mask) -> tuple[int, ...]:
    """The commonest bright grey by channel; where there is hardly any, the level that 99 % stay below."""
    low, high = rgb.min(axis=2), rgb.max(axis=2)
    # 255 in every channel is not glass: readers and scanners paint it where nothing was recorded.
    glass = scanned & (low >= _GLASS_LEAST) & (high - low <= _GLASS_SPREAD) & (low < 255)
    if glass.sum() >= _GLASS_SHARE * scanned.sum():
        return tuple(int(np.argmax(np.bincount(rgb[..., i][glass], minlength=256))) for i in range(3))
    counts = (np.bincount(rgb[..., i][scanned], minlength=256) for i in range(3))
    return tuple(int(np.clip(np.searchsorted(np.cumsum(c), 0.99 * c.sum()), 230, 250)) for c in counts)


def _density(channel: npt.NDArray[np.uint8], glass: int, scanned: Mask) -> Milli:
    """Optical density against glass in thousandths, smoothed by (1 2 1) x (1 2 1) / 16."""
    levels = np.rint(1000 * np.log10((glass + 1) / (np.arange(256) + 1.0))).astype(np.int32)
    density = np.where(scanned, levels[channel], 0).astype(np.int32)
    padded = np.pad(density, 1, mode="symmetric")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) >> 4


def _window_sum(values: Milli, half_px: int) -> Milli:
    """Sums over squares of ``2 * half_px + 1``, mirrored at the border."""
    for axis in (0, 1):
        pad = [(half_px, half_px) if i == axis else (0, 0) for i in (0, 1)]
        padded = np.pad(values, pad, mode="symmetric")
        length = values.shape[axis]
        total = np.zeros_like(values)
        for start in range(2 * half_px + 1):
            total += np.take(padded, range(start, start + length), axis=axis)
        values = total
    return values


def _stained(look: _Look, params: TissueParams) -> Mask:
    """Pixels of a stain's colour that are dense, or faint and rough; or of any colour if rough all around."""
    red, green, blue, total, rough = look
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    coloured = (chroma >= 12) & (12 * chroma >= total)
    # Eosin and haematoxylin absorb green most, DAB blue; blue and green pens absorb red most.
    stain = coloured & (4 * red <= 5 * green) & (blue <= 2 * green)
    dense = total >= 1000 * params.stained_od
    faint = (total >= 1000 * params.faint_od) & (rough >= 1000 * params.texture_od)
    # The least roughness around, since the edge of a pen's stroke is rough and its inside is not.
    share = np.where(total > 60, 1000 * rough // np.maximum(total, 1), 0)
    tinted = coloured & dense & (ndimage.minimum_filter(share, 2 * _TEXTURE_HALF_PX + 1) >= 30)
    return (stain & (dense | faint)) | tinted


def _flat(look: _Look, params: TissueParams) -> Mask:
    """Dense pixels without texture, or with little and as red as no stain."""
    red, green, blue, total, rough = look
    flat = (total >= 1000) & (rough <= params.flat_share * total)
    scarlet = (5 * red <= green) & (100 * blue >= 72 * green)
    return flat | (scarlet & (total >= 300) & (rough <= 2 * params.flat_share * total))


def _flat_ink(flat: Mask, mpp: float) -> Mask:
    """Wide areas of flat pixels, with their edges."""
    reach_px = 2 * _TEXTURE_HALF_PX + 2
    return dilated(opened(flat, 24 / mpp), reach_px)
