"""How far one ring convolution is from commuting with a turn by any angle, for several ring profiles.

A plane wave of frequency q comes out of a convolution multiplied by the kernel's transfer function T(q).
Turned input and turned output agree where T(turned q) = T(q); the error of a profile is the root mean
square of the difference over waves of at most ``BAND`` cycles a px, all directions, over that of T, for
independent normal ring weights. No picture and no interpolation enter.
"""

import math
from typing import get_args

import torch

from wsipipe.models.gmr import GMRConv2d, Mode
from wsipipe.models.kernels.rings import radius_table

BAND = 0.25
ANGLES = (15, 30, 45)


def transfer(basis: torch.Tensor, cells: torch.Tensor, side: int, waves: torch.Tensor) -> torch.Tensor:
    """Transfer function (rings, waves) of each ring, real as rings are symmetric."""
    taps = torch.nn.functional.pad(basis.double(), (0, 1))[:, cells]
    offsets = torch.arange(side, dtype=torch.float64) - side // 2
    places = torch.cartesian_prod(offsets, offsets)
    return taps @ torch.cos(2 * math.pi * places @ waves.T)


def error(basis: torch.Tensor, cells: torch.Tensor, side: int, degrees: float) -> float:
    """Root mean square change of the transfer function under a turn, relative to its own."""
    radius = torch.linspace(0.005, BAND, 50, dtype=torch.float64)
    phase = torch.linspace(0, math.pi, 73, dtype=torch.float64)[:-1]
    r, p = torch.meshgrid(radius, phase, indexing="ij")
    turn = math.radians(degrees)
    straight, turned = (
        transfer(basis, cells, side, torch.stack((r * (p + a).cos(), r * (p + a).sin()), -1).flatten(0, 1))
        for a in (0.0, turn)
    )
    area = r.flatten()
    return float((((turned - straight) ** 2 * area).sum() / (straight**2 * area).sum()).sqrt())


def profiles(side: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Basis (rings, radii) and cells of each profile at one kernel side."""
    radii, cells = radius_table(side)
    layers = {mode: GMRConv2d(1, 1, side, mode=mode) for mode in get_args(Mode)}
    found = {mode: (layer.basis().detach(), cells) for mode, layer in layers.items()}
    hard = layers["index"].hard_rings()
    found["hard"] = (torch.nn.functional.one_hot(hard).T.double(), cells)
    taps = torch.arange(side * side)
    found["dense"] = (torch.eye(side * side, dtype=torch.float64), taps)
    for spacing, sigma in ((layers["radial"].ring_spacing, 0.6), (1.0, 0.6), (1.0, 0.8)):
        centres = torch.arange(side // 2 + 1, dtype=torch.float64)[:, None] * spacing
        basis = torch.exp(-((radii - centres) ** 2) / (2 * sigma**2))
        found[f"radial, spacing {spacing:.3g}, sigma {sigma}"] = (basis, cells)
    return found


def rotation_rows() -> list[dict[str, object]]:
    """One row a kernel side and profile, with the error at each angle."""
    rows: list[dict[str, object]] = []
    for side in (5, 9):
        for name, (basis, cells) in profiles(side).items():
            errors = {f"{angle} deg": round(error(basis, cells, side, angle), 4) for angle in ANGLES}
            rows.append({"side": side, "profile": name, **errors})
    return rows


if __name__ == "__main__":
    for row in rotation_rows():
        print(row)
