"""Rotated and mirrored test images without empty corners.

A field is reduced to its inscribed disc on white, the same content at every angle, and is scored inside the
disc only. A tile is continued by reflection before it is rotated, so that no empty corner appears. The image
is rotated as scanned, by cubic splines, before it is resampled; multiples of 90 degrees move whole pixels.
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
    """Rotation of a test image, and an optional mirror.

    The image is rotated counter-clockwise about its middle, then mirrored.

    Attributes:
        degrees: Angle.
        mirror: Direction of the mirror, or none.
    """

    degrees: float = 0.0
    mirror: Mirror = ""

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"mirrored {self.mirror}" if self.mirror else f"{self.degrees:g} degrees"


UPRIGHT = Rotation()
MIRRORED = (Rotation(mirror="left-right"), Rotation(mirror="up-down"))


def rotations(step_degrees: float) -> tuple[Rotation, ...]:
    """Return rotations over a full turn, starting with 0 degrees.

    Raises:
        ConfigError: The step does not divide 360.
    """
    count = round(360 / step_degrees) if step_degrees > 0 else 0
    if not count or abs(count * step_degrees - 360) > 1e-9:
        raise ConfigError(
            f"--angles {step_degrees:g} does not divide 360 degrees. Give 10, 15, 30, 45 or 90."
        )
    return tuple(Rotation(index * step_degrees) for index in range(count))


def mirrored[T: np.generic](array: npt.NDArray[T], mirror: Mirror) -> npt.NDArray[T]:
    """Mirror an image or labels (H, W, ...), as a view."""
    return {"": array, "left-right": array[:, ::-1], "up-down": array[::-1]}[mirror]


def disc(side_px: int) -> Mask:
    """Return a mask (side, side) of the inscribed disc.

    A pixel is inside if its middle is.
    """
    offset = np.arange(side_px) - (side_px - 1) / 2
    return offset[:, None] ** 2 + offset[None] ** 2 <= (side_px / 2) ** 2


def middle_square[T: np.generic](array: npt.NDArray[T], side_px: int | None = None) -> npt.NDArray[T]:
    """Return the middle square of an array (H, W, ...), as a view.

    Its side is even and at most ``side_px``.
    """
    side = min(*array.shape[:2], side_px or array.shape[0]) // 2 * 2
    y, x = (array.shape[0] - side) // 2, (array.shape[1] - side) // 2
    return array[y : y + side, x : x + side]


class RotatableImage:
    """Square RGB image (S, S, 3) uint8 that rotates by any angle.

    Args:
        image: Image, continued by reflection for the splines.
    """

    def __init__(self, image: Rgb) -> None:
        self.image = image

    @cached_property
    def _splines(self) -> list[npt.NDArray[np.float32]]:
        channels = np.moveaxis(self.image, 2, 0)
        return [ndimage.spline_filter(one.astype(np.float32), 3, np.float32, "mirror") for one in channels]

    def at(self, rotation: Rotation, side_px: int | None = None) -> Rgb:
        """Rotate the image, or its middle square of an even side.

        Returns:
            (side, side, 3) uint8.
        """
        side = side_px or len(self.image)
        quarter, rest = divmod(rotation.degrees, 90)
        if not rest:
            rotated = middle_square(np.rot90(self.image, int(quarter)), side)
        else:
            where = _inverse(rotation.degrees, len(self.image), side)
            channels = [
                ndimage.affine_transform(one, *where, (side, side), order=3, mode="mirror", prefilter=False)
                for one in self._splines
            ]
            rotated = np.clip(np.rint(np.stack(channels, axis=2)), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(mirrored(rotated, rotation.mirror))


def rotate_labels(labels: Labels, rotation: Rotation) -> Labels:
    """Rotate square labels (S, S) by the nearest pixel.

    Corners are filled with 0.
    """
    quarter, rest = divmod(rotation.degrees, 90)
    if not rest:
        return mirrored(np.rot90(labels, int(quarter)), rotation.mirror)
    where = _inverse(rotation.degrees, len(labels), len(labels))
    return mirrored(ndimage.affine_transform(labels, *where, order=0, mode="grid-constant"), rotation.mirror)


def mask_outside_disc(image: Rgb) -> Rgb:
    """Fill a square image (S, S, 3) with white outside its disc."""
    return np.where(disc(len(image))[..., None], image, np.uint8(WHITE))


def pad_reflect(image: Rgb, side_px: int) -> Rgb:
    """Pad an image by reflection to a square.

    Args:
        image: (H, W, 3).
        side_px: Smallest side of the square, which is even.
    """
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    side = max(side_px + side_px % 2, *even.shape[:2])
    pads = [((side - extent) // 2,) * 2 for extent in even.shape[:2]]
    return np.pad(even, (*pads, (0, 0)), mode="symmetric")


def drop_cut(truth: Labels, found: Labels, cut: npt.NDArray[np.integer]) -> tuple[Labels, Labels]:
    """Remove nuclei that the border of the disc cuts.

    Args:
        truth: (S, S), 0 outside the disc.
        found: (S, S), likewise.
        cut: True ids that are cut in the upright field.

    Returns:
        Truth without ``cut``, and found without nuclei that touch the border or overlap mostly with ``cut``.
    """
    in_cut = np.isin(truth, cut[cut > 0])
    areas = np.bincount(found.ravel())
    lost = np.bincount(found[in_cut], minlength=areas.size) * 2 > areas
    lost[np.unique(found[border(len(found))])] = True
    lost[0] = False
    return np.where(in_cut, 0, truth), np.where(lost[found], 0, found)


def border(side_px: int) -> Mask:
    """Return a mask (side, side) of the border of the disc.

    Its pixels have an 8-neighbour outside the disc.
    """
    inside = disc(side_px)
    return inside & ~ndimage.binary_erosion(inside, np.ones((3, 3), bool))


def cut_labels(labels: Labels) -> npt.NDArray[np.integer]:
    """Return ids in square labels (S, S) that reach the border of the disc."""
    inside = disc(len(labels)) & ~border(len(labels))
    return np.unique(labels[~inside])


def _inverse(
    degrees: float, from_px: int, to_px: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return matrix and offset from rotated to upright pixels.

    Args:
        degrees: Angle.
        from_px: Side of the upright square.
        to_px: Side of the rotated square.
    """
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.array([[c, s], [-s, c]])
    return matrix, (from_px - 1) / 2 - matrix @ np.full(2, (to_px - 1) / 2)
