"""Errors of a network's outputs: orientations, angles and tiling."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from wsipipe.errors import ModelError
from wsipipe.geometry import Orientation
from wsipipe.models.certificate.layer_outputs import relative_error
from wsipipe.models.certificate.record import AngleError, SizeErrors, Tiling
from wsipipe.models.certificate.subject import Image, NetworkUnderTest, rotated_positions, synthetic_tissue

SMALLEST_SIDE_PX = 64
ANGLE_SIDE_PX = 192
BATCH = 4


def up_to_multiple(px: int, multiple: int) -> int:
    """Return the smallest multiple that is at least ``px``."""
    return -(-px // multiple) * multiple


def oriented(x: torch.Tensor, orientation: Orientation) -> torch.Tensor:
    """Return images (B, C, H, W) in ``orientation``."""
    turns, mirrored = orientation.value
    x = torch.rot90(x, turns, dims=(2, 3))
    return x.flip(3) if mirrored else x


def oriented_back(x: torch.Tensor, orientation: Orientation) -> torch.Tensor:
    """Undo :func:`oriented` on a map.

    A vector (B, C) has no direction and does not change.
    """
    if x.ndim != 4:
        return x
    turns, mirrored = orientation.value
    return torch.rot90(x.flip(3) if mirrored else x, -turns, dims=(2, 3))


def noise(
    subject: NetworkUnderTest, height: int, width: int, dtype: torch.dtype, seed: int = 0
) -> torch.Tensor:
    """Return white noise (1, 3, H, W), the hardest input, normalised for the network."""
    image: Image = np.random.default_rng([seed, height, width]).random((height, width, 3))
    return subject.tensor(image, dtype)


def sizes_to_try(lattice_px: int) -> list[tuple[int, int]]:
    """Return square and oblong sizes (height, width) to measure.

    Three are on the lattice, and three off it if it is not 1 px.
    """
    side = up_to_multiple(SMALLEST_SIDE_PX, lattice_px)
    on = [(side, side), (side, side + lattice_px), (side + lattice_px, 2 * side)]
    return (
        on
        if lattice_px == 1
        else [*on, (side + 1, side + 1), (side, side + lattice_px // 2), (side - 1, 2 * side)]
    )


def size_errors(subject: NetworkUnderTest, height: int, width: int, dtype: torch.dtype) -> SizeErrors:
    """Return the errors of the orientations on noise of one size.

    If the network refuses the size, its message is recorded.
    """
    on_lattice = height % subject.lattice_px == 0 and width % subject.lattice_px == 0
    x = noise(subject, height, width, dtype)
    size: dict[str, Any] = {"height_px": height, "width_px": width, "on_lattice": on_lattice}
    try:
        reference = subject.output(x)
        errors = {
            orientation.name: relative_error(
                oriented_back(subject.output(oriented(x, orientation)), orientation), reference
            )
            for orientation in Orientation
        }
    except ModelError as error:
        return SizeErrors(**size, refused=str(error))
    return SizeErrors(**size, errors=errors)


def angle_errors(subject: NetworkUnderTest, degrees: Iterable[float], dtype: torch.dtype) -> list[AngleError]:
    """Return error and agreement drop at each angle.

    They are measured on synthetic tissue that is rotated exactly; maps are rotated back by splines. A float64
    network is measured in float32, ten times as fast: these errors are far above rounding.
    """
    if dtype == torch.float64:
        subject, dtype = subject.copied(torch.float32), torch.float32
    side = up_to_multiple(ANGLE_SIDE_PX, subject.lattice_px)
    angles = list(degrees)
    reference = _outputs(subject, [0.0], side, dtype)[0]
    found = []
    for start in range(0, len(angles), BATCH):
        found += _outputs(subject, angles[start : start + BATCH], side, dtype)
    return [_angle_error(subject, reference, one, angle) for one, angle in zip(found, angles, strict=True)]


def _outputs(subject: NetworkUnderTest, degrees: list[float], side: int, dtype: torch.dtype) -> list[Image]:
    x = torch.cat([subject.tensor(synthetic_tissue(side, side, angle), dtype) for angle in degrees])
    return [output.double().numpy() for output in subject.output(x)]


def _angle_error(subject: NetworkUnderTest, upright: Image, found: Image, degrees: float) -> AngleError:
    if upright.ndim == 3:
        height, width = upright.shape[1:]
        y, x = rotated_positions(height, width, -degrees)
        places = [y + (height - 1) / 2, x + (width - 1) / 2]
        back = np.stack([ndimage.map_coordinates(one, places, order=3, mode="nearest") for one in found])
        inside = np.hypot(*rotated_positions(height, width, 0)) <= (min(height, width) - 1) / 2
        upright, found = upright[:, inside], back[:, inside]
    else:
        upright, found = upright[:, None], found[:, None]
    centred = upright - upright.mean(axis=1 if upright.shape[1] > 1 else 0, keepdims=True)
    spread = float(np.sqrt(np.mean(centred**2))) or 1.0
    alone = subject.independent or len(upright) == 1
    same = (upright > 0) == (found > 0) if alone else upright.argmax(0) == found.argmax(0)
    return AngleError(
        degrees=degrees,
        error=float(np.sqrt(np.mean((found - upright) ** 2))) / spread,
        agreement_drop=float(1 - same.mean()),
    )


def tiling_error(subject: NetworkUnderTest, halo_px: int, dtype: torch.dtype) -> Tiling:
    """Return the error of tiling against a whole strip.

    Two cores are cut from a strip with and without halo; along x, then along y.
    """
    core = up_to_multiple(SMALLEST_SIDE_PX, subject.lattice_px)
    strip = noise(subject, core, 2 * (halo_px + core), dtype)
    errors = np.zeros((2, 2))
    for axis, image in enumerate((strip, strip.mT.contiguous())):
        whole = subject.output(image)
        truth = _cropped(whole, image, halo_px, 2 * core, 3 - axis)
        for which, halo in enumerate((halo_px, 0)):
            cores = []
            for start in (halo_px, halo_px + core):
                patch = image.narrow(3 - axis, start - halo, core + 2 * halo)
                cores.append(_cropped(subject.output(patch), patch, halo, core, 3 - axis))
            errors[axis, which] = relative_error(torch.cat(cores, dim=3 - axis), truth)
    with_halo, without = errors.max(axis=0).tolist()
    return Tiling(halo_px=halo_px, core_px=core, error=with_halo, error_without_halo=without)


def _cropped(output: torch.Tensor, image: torch.Tensor, start: int, length: int, dim: int) -> torch.Tensor:
    """Crop the part of an output over ``length`` px of its image."""
    stride = image.shape[dim] // output.shape[dim]
    return output.narrow(dim, start // stride, length // stride)
