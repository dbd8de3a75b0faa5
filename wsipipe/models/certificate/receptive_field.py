"""Receptive field by gradient, measured in float64.

It is how far outside its own lattice cell an output depends on the image.
"""

from collections.abc import Callable

import numpy as np
import torch

from wsipipe.models.certificate.measurements import noise, up_to_multiple
from wsipipe.models.certificate.record import ReceptiveField
from wsipipe.models.certificate.subject import Image, NetworkUnderTest

LENGTHS_PX = (256, 512, 1024, 2048)
BREADTH_PX = 32


def measure_receptive_field(subject: NetworkUnderTest) -> ReceptiveField:
    """Measure the receptive field of a network whose output is a map.

    It is measured on a strip along x and one along y, which is enough where kernels extend straight to each
    side. The strip grows until the gradient ends on it; under a norm over the whole image it never does.
    """
    subject, cell = subject.copied(torch.float64), subject.lattice_px
    return measured_field(
        subject, lambda length, dim: influence_of(strip_gradient(subject, length, dim), cell)
    )


def measured_field(subject: NetworkUnderTest, influence_at: Callable[[int, int], Image]) -> ReceptiveField:
    """Measure on strips that grow until the influence ends on them.

    Args:
        subject: The network.
        influence_at: Function of a strip's length, px, and of its axis in (N, C, H, W), 2 or 3.
    """
    influence: Image = np.zeros(0)
    for length in strip_lengths(subject):
        influence = np.maximum(*(influence_at(length, dim) for dim in (2, 3)))
        if influence[-1] == 0:
            break
    farthest = int(np.flatnonzero(influence)[-1]) + 1 if influence.any() else 0
    return ReceptiveField(
        gradient_px=farthest if farthest < len(influence) else None,
        formula_px=subject.halo_px,
        image_px=length,
        influence=influence[:farthest].tolist(),
    )


def strip_lengths(subject: NetworkUnderTest) -> list[int]:
    """Return strip lengths to try, px, of an odd number of cells.

    The first is enough if the declared halo is true.
    """
    cell = subject.lattice_px
    halos = [up_to_multiple(length // 2, cell) for length in LENGTHS_PX]
    if subject.halo_px is not None:
        enough = subject.halo_px + 2 * cell
        halos = [enough, *(halo for halo in halos if halo > enough)]
    return [2 * halo + cell for halo in halos]


def strip_gradient(subject: NetworkUnderTest, length: int, dim: int) -> Image:
    """Return the sum of absolute gradients (length,) along a strip.

    It is that of all outputs of the middle cell, at each px along ``dim``.

    Args:
        subject: Network in float64.
        length: Length of the strip, px, an odd number of cells.
        dim: 2 for y, 3 for x.
    """
    breadth = up_to_multiple(BREADTH_PX, subject.lattice_px)
    shape = (length, breadth) if dim == 2 else (breadth, length)
    x = noise(subject, *shape, torch.float64).requires_grad_()
    output = subject.output(x)
    stride = length // output.shape[dim]
    cells = output.narrow(
        dim, (length - subject.lattice_px) // 2 // stride, max(subject.lattice_px // stride, 1)
    )
    # Random signs, so that outputs do not cancel.
    weights = torch.randn(cells.shape, dtype=cells.dtype, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((cells * weights).sum(), x)
    return gradient.abs().sum(dim=(0, 1, 5 - dim)).numpy()


def influence_of(profile: Image, cell_px: int) -> Image:
    """Return the relative influence at 1, 2, ... px outside the middle cell.

    It is the larger one of both sides, over the largest inside the cell.
    """
    halo = (len(profile) - cell_px) // 2
    before, inside, after = profile[:halo][::-1], profile[halo : halo + cell_px], profile[halo + cell_px :]
    return np.maximum(before, after) / (inside.max() or 1.0)
