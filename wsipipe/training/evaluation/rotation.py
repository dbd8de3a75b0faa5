"""Turned and mirrored test images without lying corners, and with exact quarter turns.

A field is shown as its inscribed disc on white, the same scene at every angle, and is scored inside the disc
alone. A tile is continued by reflection before it is turned, so that no corner comes in. What turns is the
image as it was scanned, by cubic splines, before anything is resampled; multiples of 90 degrees move whole
pixels.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wsipipe.errors import ConfigError
from wsipipe.training.evaluation.inference import WHITE
from wsipipe.training.samples import Labels, Rgb

Mirror = Literal["", "left-right", "up-down"]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rotation:
    """How a test image lies: turned counter-clockwise about its middle, then mirrored.

    Attributes:
        degrees: Of the turn.
        mirror: Kind of mirroring, or none.
    """

    degrees: float = 0.0
    mirror: Mirror = ""

    @property
    def name(self) -> str:
        """As tables show it."""
        return f"mirrored {self.mirror}" if self.mirror else f"{self.degrees:g} degrees"


UPRIGHT = Rotation()
MIRRORED = (Rotation(mirror="left-right"), Rotation(mirror="up-down"))


def rotations(step_degrees: float) -> tuple[Rotation, ...]:
    """Poses over a whole turn, 0 degrees the first.

    Raises:
        ConfigError: The step does not divide 360.
    """
    count = round(360 / step_degrees) if step_degrees > 0 else 0
    if not count or abs(count * step_degrees - 360) > 1e-9:
        raise ConfigError(
            f"--angles {step_degrees:g} does not divide 360 degrees; give 10, 15, 30, 45 or 90."
        )
    return tuple(Rotation(index * step_degrees) for index in range(count))


def mirrored[T: np.generic](array: npt.NDArray[T], mirror: Mirror) -> npt.NDArray[T]:
    """Image or labels (H, W, ...) mirrored; a view."""
    return {"": array, "left-right": array[:, ::-1], "up-down": array[::-1]}[mirror]


def disc(side_px: int) -> Mask:
    """(side, side) bool: pixels whose middle lies in the inscribed disc."""
    offset = np.arange(side_px) - (side_px - 1) / 2
    return offset[:, None] ** 2 + offset[None] ** 2 <= (side_px / 2) ** 2


def middle_square[T: np.generic](array: npt.NDArray[T], side_px: int | None = None) -> npt.NDArray[T]:
    """The middle square of (H, W, ...), of even side, at most ``side_px``; a view."""
    side = min(*array.shape[:2], side_px or array.shape[0]) // 2 * 2
    y, x = (array.shape[0] - side) // 2, (array.shape[1] - side) // 2
    return array[y : y + side, x : x + side]


class RotatableImage:
    """A square RGB image (S, S, 3) uint8 that can be turned about its middle by any angle.

    Args:
        image: What is shown; beyond its edges the splines see it reflect.
    """

    def __init__(self, image: Rgb) -> None:
        self.image = image

    @cached_property
    def _splines(self) -> list[npt.NDArray[np.float32]]:
        channels = np.moveaxis(self.image, 2, 0)
        return [ndimage.spline_filter(one.astype(np.float32), 3, np.float32, "mirror") for one in channels]

    def at(self, rotation: Rotation, side_px: int | None = None) -> Rgb:
        """The image in a rotation, or its middle square of an even side (side, side, 3) uint8."""
        side = side_px or len(self.image)
        quarter, rest = divmod(rotation.degrees, 90)
        if not rest:
            turned = middle_square(np.rot90(self.image, int(quarter)), side)
        else:
            where = _inverse(rotation.degrees, len(self.image), side)
            channels = [
                ndimage.affine_transform(one, *where, (side, side), order=3, mode="mirror", prefilter=False)
                for one in self._splines
            ]
            turned = np.clip(np.rint(np.stack(channels, axis=2)), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(mirrored(turned, rotation.mirror))


def rotate_labels(labels: Labels, rotation: Rotation) -> Labels:
    """Square labels (S, S) in a rotation, by the nearest pixel; 0 comes in at the corners."""
    quarter, rest = divmod(rotation.degrees, 90)
    if not rest:
        return mirrored(np.rot90(labels, int(quarter)), rotation.mirror)
    where = _inverse(rotation.degrees, len(labels), len(labels))
    return mirrored(ndimage.affine_transform(labels, *where, order=0, mode="grid-constant"), rotation.mirror)


def mask_outside_disc(image: Rgb) -> Rgb:
    """Square image (S, S, 3) with white outside its inscribed disc."""
    return np.where(disc(len(image))[..., None], image, np.uint8(WHITE))


def pad_reflect(image: Rgb, side_px: int) -> Rgb:
    """Image (H, W, 3) in the middle of a square of even side >= ``side_px``, continued by reflection."""
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    side = max(side_px + side_px % 2, *even.shape[:2])
    pads = [((side - extent) // 2,) * 2 for extent in even.shape[:2]]
    return np.pad(even, (*pads, (0, 0)), mode="symmetric")


def drop_cut(truth: Labels, found: Labels, cut: npt.NDArray[np.integer]) -> tuple[Labels, Labels]:
    """Labels on a disc without the nuclei that its border cuts, true and found.

    Args:
        truth: (S, S), 0 outside the disc.
        found: (S, S), likewise.
        cut: True ids that are cut in the unturned field.

    Returns:
        Truth without ``cut``, and found without what touches the border or lies mostly in ``cut``.
    """
    in_cut = np.isin(truth, cut[cut > 0])
    areas = np.bincount(found.ravel())
    lost = np.bincount(found[in_cut], minlength=areas.size) * 2 > areas
    lost[np.unique(found[border(len(found))])] = True
    lost[0] = False
    return np.where(in_cut, 0, truth), np.where(lost[found], 0, found)


def border(side_px: int) -> Mask:
    """(side, side) bool: pixels of the disc that have an 8-neighbour outside it."""
    inside = disc(side_px)
    return inside & ~ndimage.binary_erosion(inside, np.ones((3, 3), bool))


def cut_labels(labels: Labels) -> npt.NDArray[np.integer]:
    """Ids in square labels (S, S) that reach the inscribed disc's border or go beyond it."""
    inside = disc(len(labels)) & ~border(len(labels))
    return np.unique(labels[~inside])


def _inverse(
    degrees: float, from_px: int, to_px: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Matrix and offset from px of the turned square (side ``to_px``) to px of the upright one."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.array([[c, s], [-s, c]])
    return matrix, (from_px - 1) / 2 - matrix @ np.full(2, (to_px - 1) / 2)
