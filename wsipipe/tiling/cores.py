"""Find the cores of a tissue micro-array and their places on the grid.

The tissue mask is smoothed to about half a core, so that a core in fragments has one maximum and two that
touch have two. The angle of the grid comes from the nearest neighbours.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wsipipe.errors import SlideError
from wsipipe.tiling.morphology import Mask

Points = npt.NDArray[np.float64]

LEAST_MM2 = 0.05
"""Least area of a piece of tissue that counts as a core while the diameter is unknown."""
_APART = 0.8
_FULL = 0.865
"""Value of the smoothed mask in the middle of a whole core: 1 - exp(-2)."""
_LEAST_FILLED = 0.25
_REACH = 1.15
"""Diameter of the circle around a core, as a multiple of that of cores: room for one that is torn."""
_CORNERS = 64


@dataclass(frozen=True)
class Core:
    """One core of a tissue micro-array.

    Attributes:
        name: Row as letters and column as a number, ``A1`` at the top left.
        y_um: Centre, um from the top of the scanned area.
        x_um: Centre, um from its left.
        diameter_um: Diameter of the circle around it.
    """

    name: str
    y_um: float
    x_um: float
    diameter_um: float

    def corners_um(self) -> Points:
        """Return points (64, 2) (x, y) of the circle, um."""
        angles = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
        around = self.diameter_um / 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return around + np.array([self.x_um, self.y_um])


def find_cores(tissue: Mask, mpp: float, diameter_um: float | None = None) -> list[Core]:
    """Find the cores of a tissue micro-array.

    Args:
        tissue: Tissue, (H, W) bool.
        mpp: Um per px of the mask, about 8.
        diameter_um: Diameter of a core; None to take the median of the pieces of tissue.

    Returns:
        The cores by row and column. Rows and columns without any core have no name.

    Raises:
        SlideError: Fewer than two cores were found.
    """
    diameter = diameter_um or _usual_diameter(tissue, mpp)
    centres = _centres(tissue, diameter / mpp) * mpp
    if len(centres) < 2:
        raise SlideError(
            f"no tissue micro-array was found: {len(centres)} pieces of tissue look like cores. Give the "
            "diameter of its cores with --diameter-um, or leave this slide out."
        )
    pitch = _nearest(centres)[0]
    size = min(_REACH * diameter, float(pitch.min()))
    rows, columns = _grid(centres, float(np.median(pitch)))
    names = [f"{_letters(row)}{column + 1}" for row, column in zip(rows, columns, strict=True)]
    _check_names(names)
    order = np.lexsort((columns, rows))
    return [Core(names[i], float(centres[i, 0]), float(centres[i, 1]), size) for i in order]


def _usual_diameter(tissue: Mask, mpp: float) -> float:
    labels, count = ndimage.label(tissue, structure=np.ones((3, 3), bool))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] * mpp**2
    areas = areas[areas >= LEAST_MM2 * 1e6]
    return float(2 * np.sqrt(np.median(areas) / np.pi)) if areas.size else 1000.0


def _centres(tissue: Mask, diameter_px: float) -> Points:
    """Return the centres (n, 2) (y, x) of cores, in continuous px."""
    smooth = ndimage.gaussian_filter(tissue.astype(np.float32), diameter_px / 4, mode="constant")
    side = 2 * int(_APART * diameter_px / 2) + 1
    peaks = (smooth == ndimage.maximum_filter(smooth, side)) & (smooth >= _LEAST_FILLED * _FULL)
    labels, count = ndimage.label(peaks, structure=np.ones((3, 3), bool))
    found = np.array(ndimage.center_of_mass(peaks, labels, range(1, count + 1))).reshape(-1, 2)
    return np.array([_centred(tissue, centre, diameter_px / 2) for centre in found]).reshape(-1, 2)


def _centred(tissue: Mask, centre: Points, radius_px: float) -> Points:
    """Return the centre of the tissue within a circle, in continuous px."""
    y, x = (round(float(each)) for each in centre)
    reach = int(radius_px) + 1
    top, left = max(0, y - reach), max(0, x - reach)
    part = np.argwhere(tissue[top : y + reach + 1, left : x + reach + 1]) + np.array([top, left])
    near = part[((part - centre) ** 2).sum(axis=1) <= radius_px**2]
    found: Points = (near.mean(axis=0) if len(near) else centre) + 0.5
    return found


def _nearest(centres: Points) -> tuple[Points, Points]:
    """Return distance (n,) and vector (n, 2) from each centre to the nearest other."""
    vectors = centres[None] - centres[:, None]
    distances = np.hypot(vectors[..., 0], vectors[..., 1])
    np.fill_diagonal(distances, np.inf)
    chosen = distances.argmin(axis=1)
    each = np.arange(len(centres))
    return distances[each, chosen], vectors[each, chosen]


def _grid(centres: Points, pitch: float) -> tuple[Any, Any]:
    """Return row and column (n,) of each centre; lines without a core are not counted."""
    vectors = _nearest(centres)[1]
    # Neighbours lie in four directions: four times the angle is the same for all.
    angle = np.angle(np.exp(4j * np.arctan2(vectors[:, 0], vectors[:, 1])).mean()) / 4
    y = centres[:, 0] * np.cos(angle) - centres[:, 1] * np.sin(angle)
    x = centres[:, 0] * np.sin(angle) + centres[:, 1] * np.cos(angle)
    return _lines(y, pitch), _lines(x, pitch)


def _lines(positions: Points, pitch: float) -> Any:
    """Return the line (n,) of each position.

    A new line begins after a gap of half a pitch.
    """
    order = np.argsort(positions)
    lines = np.empty(len(positions), np.int64)
    lines[order] = np.append(0, np.cumsum(np.diff(positions[order]) > pitch / 2))
    return lines


def _letters(row: int) -> str:
    """Return A to Z, then AA, AB and so on."""
    return (_letters(row // 26 - 1) if row >= 26 else "") + chr(ord("A") + row % 26)


def _check_names(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SlideError(
            f"the cores lie on no clear grid: {len(twice)} places have two, the first is {twice[0]}. Give "
            "the diameter of a core with --diameter-um, or draw the cores as regions."
        )
