"""Receptive field of a network without gradients, by changing pixels.

The result is a lower bound: a change may be too weak to alter an output in float32.
"""

from functools import partial

import numpy as np
import torch

from wsipipe.models.certificate.measurements import noise, up_to_multiple
from wsipipe.models.certificate.receptive_field import BREADTH_PX, measured_field
from wsipipe.models.certificate.record import ReceptiveField
from wsipipe.models.certificate.subject import Image, NetworkUnderTest

BANDS = 16


def reach_by_perturbation(subject: NetworkUnderTest) -> ReceptiveField:
    """Measure how far pixels change the outputs of a lattice cell.

    It is measured on a strip along x and one along y, which grow until the influence ends on them.
    """
    return measured_field(subject, partial(strip_influence, subject))


def strip_influence(subject: NetworkUnderTest, length: int, dim: int) -> Image:
    """Return the relative influence at 1, 2, ... px outside the middle cell.

    Pixels are changed in bands on both sides at once, and one by one where the influence ends.

    Args:
        subject: The network.
        length: Length of the strip, px, an odd number of cells.
        dim: 2 for y, 3 for x.
    """
    strip = _Strip(subject, length, dim)
    influence: Image = np.zeros(strip.half_px)
    step = max(1, strip.half_px // BANDS)
    for start in range(0, strip.half_px, step):
        influence[start : start + step] = strip.change(start, min(start + step, strip.half_px))
    if not influence.any():
        return influence
    last = int(np.flatnonzero(influence)[-1])
    for px in range(last, last // step * step, -1):
        if strip.change(px, px + 1):
            break
        influence[px] = 0
    return influence


class _Strip:
    """A strip of noise, and the outputs of its middle cell.

    Attributes:
        half_px: Number of px on each side of the cell.
    """

    def __init__(self, subject: NetworkUnderTest, length: int, dim: int) -> None:
        breadth = up_to_multiple(BREADTH_PX, subject.lattice_px)
        shape = (length, breadth) if dim == 2 else (breadth, length)
        self.half_px = (length - subject.lattice_px) // 2
        self._subject, self._length, self._dim = subject, length, dim
        self._image, self._other = (noise(subject, *shape, torch.float32, seed) for seed in (0, 1))
        self._upright = self._cell(self._image)

    def change(self, start: int, end: int) -> float:
        """Return the change of the cell's outputs by px at ``start`` to ``end`` from the cell.

        It is the largest change over the largest output.
        """
        first, last = self.half_px, self.half_px + self._subject.lattice_px
        image = self._image.clone()
        for begin in (first - end, last + start):
            band = (self._dim, begin, end - start)
            image.narrow(*band).copy_(self._other.narrow(*band))
        change = (self._cell(image) - self._upright).abs().max()
        return float(change) / (float(self._upright.abs().max()) or 1.0)

    def _cell(self, image: torch.Tensor) -> torch.Tensor:
        output = self._subject.output(image)
        stride = self._length // output.shape[self._dim]
        cells = max(self._subject.lattice_px // stride, 1)
        return output.narrow(self._dim, self.half_px // stride, cells)
