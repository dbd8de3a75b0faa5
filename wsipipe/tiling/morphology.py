"""Morphological operations that commute with the eight orientations.

Discs are symmetric sets of whole pixels, and components are used as sets only, so raster order has no effect.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]

_EIGHT_NEIGHBOURS = np.ones((3, 3), np.bool_)
_BAND_PX = 256
"""Rows processed at once; limits the memory needed for the mask of a whole slide."""


def dilated(mask: Mask, radius_px: float) -> Mask:
    """Dilate a mask (H, W) by a disc.

    A pixel is set if its centre lies within ``radius_px`` of that of a set pixel.
    """
    reach, grown = int(radius_px), np.empty_like(mask)
    for y in range(0, len(mask), _BAND_PX):
        first, end = max(0, y - reach), min(len(mask), y + _BAND_PX + reach)
        grown[y : y + _BAND_PX] = _dilated(mask[first:end], radius_px)[y - first :][:_BAND_PX]
    return grown


def _dilated(mask: Mask, radius_px: float) -> Mask:
    reach = int(radius_px)
    height, width = mask.shape
    padded = np.pad(mask, ((0, 0), (reach + 1, reach))).astype(np.int32)
    counts = np.cumsum(padded, axis=1, out=padded)
    grown = np.zeros_like(mask)
    for dy in range(-reach, reach + 1):
        half = int(np.sqrt(radius_px**2 - dy**2))
        near = counts[:, reach + half + 1 :][:, :width] > counts[:, reach - half :][:, :width]
        target = slice(max(dy, 0), max(height + min(dy, 0), 0))
        source = slice(max(-dy, 0), max(height - max(dy, 0), 0))
        grown[target] |= near[source]
    return grown


def eroded(mask: Mask, radius_px: float) -> Mask:
    """Erode a mask by a disc.

    Pixels outside the array count as set.
    """
    return ~dilated(~mask, radius_px)


def closed(mask: Mask, radius_px: float) -> Mask:
    """Fill gaps that no disc of ``radius_px`` fits into."""
    return eroded(dilated(mask, radius_px), radius_px)


def opened(mask: Mask, radius_px: float) -> Mask:
    """Remove parts that no disc of ``radius_px`` fits into."""
    return dilated(eroded(mask, radius_px), radius_px)


def without_specks(mask: Mask, least_px: float) -> Mask:
    """Remove 8-connected components of fewer than ``least_px`` pixels."""
    labels, count = ndimage.label(mask, structure=_EIGHT_NEIGHBOURS)
    return _large(labels, count, least_px)[labels]


def without_holes(mask: Mask, least_px: float) -> Mask:
    """Fill 4-connected holes of fewer than ``least_px`` pixels.

    A hole that touches the border is kept.
    """
    labels, count = ndimage.label(~mask)
    kept = _large(labels, count, least_px)
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        kept[border] = True
    kept[0] = False
    return ~kept[labels]


def _large(labels: npt.NDArray[np.int32], count: int, least_px: float) -> Mask:
    # numpy counts in int64: counting the labels of a whole slide at once would double the memory.
    bands = (labels[y : y + _BAND_PX].ravel() for y in range(0, len(labels), _BAND_PX))
    areas = sum((np.bincount(band, minlength=count + 1) for band in bands), np.zeros(count + 1, np.int64))
    kept = areas >= least_px
    kept[0] = False
    return kept
