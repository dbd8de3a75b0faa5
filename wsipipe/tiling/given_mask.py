"""Read tissue masks that the user gives with a slide."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipipe.errors import SlideError
from wsipipe.tiling.mask_samples import MaskSamples, open_mask
from wsipipe.tiling.morphology import Mask

Positions = npt.NDArray[np.floating[Any]]

_LARGEST_DIFFERENCE = 0.05
_REMEDY = "give a PNG or TIFF of 0 and 255"
_LOSSY_LEAST = 128
"""Lossy compression leaves small values around zeros."""
_LOSSY_SPREAD = 32


def read_given_mask(path: Path, extent: tuple[float, float], y: Positions, x: Positions) -> Mask:
    """Read a mask of the scanned area at given positions.

    Args:
        path: PNG, TIFF, JPEG, WebP, BMP or GIF with one image. Tissue is not black, or not transparent;
            in lossy files, it is brighter than half.
        extent: (height, width) of the scanned area in level-0 px.
        y: Rows (H,) in level-0 px from the top of the scanned area.
        x: Columns (W,) in level-0 px from its left.

    Returns:
        (H, W) bool; False beyond the scanned area.

    Raises:
        SlideError: The file is not a readable image, has another aspect ratio, or is ambiguous.
    """
    try:
        with open_mask(path) as mask:
            _check_aspect(path, mask.shape, extent)
            rows, inside_y = _nearest(y, extent[0], mask.shape[0])
            columns, inside_x = _nearest(x, extent[1], mask.shape[1])
            samples = mask.sample(rows, columns)
    except SlideError:
        raise
    except Exception as error:  # damaged files make decoders raise anything
        cause = str(error) or type(error).__name__
        raise SlideError(f"Mask {path} is not readable ({cause}); {_REMEDY}.") from error
    return _tissue(path, samples) & inside_y[:, None] & inside_x[None, :]


def _nearest(positions: Positions, extent: float, count: int) -> tuple[npt.NDArray[np.int64], Mask]:
    """Return the indices of the px at positions.

    The second value tells which positions lie inside.
    """
    at = positions * count / extent
    return np.clip(at, 0, count - 1).astype(np.int64), (at >= 0) & (at < count)


def _check_aspect(path: Path, shape: tuple[int, int], extent: tuple[float, float]) -> None:
    height, width = extent
    # Sides are whole numbers of px: half a px of difference is rounding.
    rounding = max(height, width) / 2
    difference = abs(shape[1] * height - shape[0] * width) - rounding
    if difference > _LARGEST_DIFFERENCE * shape[0] * width:
        raise SlideError(
            f"Mask {path} does not fit the slide: it is {shape[1]} x {shape[0]} px (width x height, "
            f"{shape[1] / shape[0]:.2f} to 1), but the slide's scanned area is {width:.0f} x {height:.0f} px "
            f"({width / height:.2f} to 1). Give a mask of the whole scanned area, not rotated or cropped."
        )


def _tissue(path: Path, samples: MaskSamples) -> Mask:
    level = samples.colours.max(axis=2)
    coloured: Mask = level >= _LOSSY_LEAST if samples.lossy else level > 0
    if samples.opacity is not None and samples.opacity.min() != samples.opacity.max():
        opaque: Mask = samples.opacity >= _LOSSY_LEAST if samples.lossy else samples.opacity > 0
        # If all opaque px are black, transparency alone is the mask.
        return opaque & coloured if (opaque & coloured).any() else opaque
    low, high = float(level.min()), float(level.max())
    if high == 0 and samples.hidden:
        _refuse(path, "all colours of its palette are black, so it does not state which px are tissue")
    if samples.lossy and 0 < high < _LOSSY_LEAST:
        _refuse(path, f"it is a lossy image with values up to {high:.0f}, which are neither 0 nor 255")
    if coloured.all() and high - low > (_LOSSY_SPREAD if samples.lossy else 0):
        _refuse(
            path, f"none of its px is black, but their values differ ({low:g} to {high:g}): is it a picture"
        )
    return coloured


def _refuse(path: Path, found: str) -> None:
    raise SlideError(f"Mask {path} is ambiguous: {found}; {_REMEDY}, where 0 is not tissue.")
