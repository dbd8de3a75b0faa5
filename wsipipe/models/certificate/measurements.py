"""Measurements on a network's answers: orientations, angles, tiled against whole."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from wsipipe.errors import ModelError
from wsipipe.geometry import Orientation
from wsipipe.models.certificate.layer_outputs import relative
from wsipipe.models.certificate.record import AngleError, SizeErrors, Tiling
from wsipipe.models.certificate.subject import Image, NetworkUnderTest, rotated_positions, synthetic_tissue

SMALLEST_SIDE_PX = 64
ANGLE_SIDE_PX = 192
BATCH = 4


def up_to_multiple(px: int, multiple: int) -> int:
    """The smallest multiple that is at least ``px``."""
    return -(-px // multiple) * multiple


def turned(x: torch.Tensor, orientation: Orientation) -> torch.Tensor:
    """Images (B, C, H, W) as they lie in ``orientation``."""
    turns, mirrored = orientation.value
    x = torch.rot90(x, turns, dims=(2, 3))
    return x.flip(3) if mirrored else x


def turned_back(x: torch.Tensor, orientation: Orientation) -> torch.Tensor:
    """Undoes :func:`turned` on a map; a vector (B, C) has no direction and stays."""
    if x.ndim != 4:
        return x
    turns, mirrored = orientation.value
    return torch.rot90(x.flip(3) if mirrored else x, -turns, dims=(2, 3))


def noise(
    subject: NetworkUnderTest, height: int, width: int, dtype: torch.dtype, seed: int = 0
) -> torch.Tensor:
    """White noise, the harshest picture, as the network wants it: (1, 3, H, W)."""
    image: Image = np.random.default_rng([seed, height, width]).random((height, width, 3))
    return subject.tensor(image, dtype)


def sizes_to_try(lattice_px: int) -> list[tuple[int, int]]:
    """Square and oblong (height, width): three on the lattice, and three off it if it is not 1 px."""
    side = up_to_multiple(SMALLEST_SIDE_PX, lattice_px)
    on = [(side, side), (side, side + lattice_px), (side + lattice_px, 2 * side)]
    return (
        on
        if lattice_px == 1
        else [*on, (side + 1, side + 1), (side, side + lattice_px // 2), (side - 1, 2 * side)]
    )


def size_errors(subject: NetworkUnderTest, height: int, width: int, dtype: torch.dtype) -> SizeErrors:
    """Error of each orientation on noise of one size, or the network's refusal."""
    on_lattice = height % subject.lattice_px == 0 and width % subject.lattice_px == 0
    x = noise(subject, height, width, dtype)
    size: dict[str, Any] = {"height_px": height, "width_px": width, "on_lattice": on_lattice}
    try:
        straight = subject.answer(x)
        errors = {
            orientation.name: relative(
                turned_back(subject.answer(turned(x, orientation)), orientation), straight
            )
            for orientation in Orientation
        }
    except ModelError as error:
        return SizeErrors(**size, refused=str(error))
    return SizeErrors(**size, errors=errors)


def angle_errors(subject: NetworkUnderTest, degrees: Iterable[float], dtype: torch.dtype) -> list[AngleError]:
    """Error and drop at each angle, on made tissue that is turned exactly; maps are turned back by splines.

    A float64 network is measured in float32, ten times as fast: these errors are far above rounding.
    """
    if dtype == torch.float64:
        subject, dtype = subject.copied(torch.float32), torch.float32
    side = up_to_multiple(ANGLE_SIDE_PX, subject.lattice_px)
    angles = list(degrees)
    straight = _answers(subject, [0.0], side, dtype)[0]
    found = []
    for start in range(0, len(angles), BATCH):
        found += _answers(subject, angles[start : start + BATCH], side, dtype)
    return [_compared(subject, straight, one, angle) for one, angle in zip(found, angles, strict=True)]


def _answers(subject: NetworkUnderTest, degrees: list[float], side: int, dtype: torch.dtype) -> list[Image]:
    x = torch.cat([subject.tensor(synthetic_tissue(side, side, angle), dtype) for angle in degrees])
    return [answer.double().numpy() for answer in subject.answer(x)]


def _compared(subject: NetworkUnderTest, straight: Image, found: Image, degrees: float) -> AngleError:
    if straight.ndim == 3:
        height, width = straight.shape[1:]
        y, x = rotated_positions(height, width, -degrees)
        places = [y + (height - 1) / 2, x + (width - 1) / 2]
        back = np.stack([ndimage.map_coordinates(one, places, order=3, mode="nearest") for one in found])
        inside = np.hypot(*rotated_positions(height, width, 0)) <= (min(height, width) - 1) / 2
        straight, found = straight[:, inside], back[:, inside]
    else:
        straight, found = straight[:, None], found[:, None]
    centred = straight - straight.mean(axis=1 if straight.shape[1] > 1 else 0, keepdims=True)
    spread = float(np.sqrt(np.mean(centred**2))) or 1.0
    alone = subject.independent or len(straight) == 1
    same = (straight > 0) == (found > 0) if alone else straight.argmax(0) == found.argmax(0)
    return AngleError(
        degrees=degrees,
        error=float(np.sqrt(np.mean((found - straight) ** 2))) / spread,
        agreement_drop=float(1 - same.mean()),
    )


def tiling_error(subject: NetworkUnderTest, halo_px: int, dtype: torch.dtype) -> Tiling:
    """Two cores, cut from a strip with and without halo, against the whole strip; along x, then along y."""
    core = up_to_multiple(SMALLEST_SIDE_PX, subject.lattice_px)
    strip = noise(subject, core, 2 * (halo_px + core), dtype)
    errors = np.zeros((2, 2))
    for axis, image in enumerate((strip, strip.mT.contiguous())):
        whole = subject.answer(image)
        truth = _cropped(whole, image, halo_px, 2 * core, 3 - axis)
        for which, halo in enumerate((halo_px, 0)):
            cores = []
            for start in (halo_px, halo_px + core):
                patch = image.narrow(3 - axis, start - halo, core + 2 * halo)
                cores.append(_cropped(subject.answer(patch), patch, halo, core, 3 - axis))
            errors[axis, which] = relative(torch.cat(cores, dim=3 - axis), truth)
    with_halo, without = errors.max(axis=0).tolist()
    return Tiling(halo_px=halo_px, core_px=core, error=with_halo, error_without_halo=without)


def _cropped(answer: torch.Tensor, image: torch.Tensor, start: int, length: int, dim: int) -> torch.Tensor:
    """Part of an answer that lies over ``length`` px of its image."""
    stride = image.shape[dim] // answer.shape[dim]
    return answer.narrow(dim, start // stride, length // stride)
