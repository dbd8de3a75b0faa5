"""A network that can run in bands of rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import lcm

import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.networks.dense_classifier import DenseClassifier
from wsipipe.models.streaming.area import Area
from wsipipe.models.streaming.bands import Band, BandRun, ReadImage, cell_bands
from wsipipe.models.streaming.graph import Layer, record
from wsipipe.models.streaming.reach import halo_px, reaches


@dataclass(frozen=True)
class BandedNetwork:
    """Layers of a frozen network, to be run in bands.

    Attributes:
        layers: The layers, first to last.
        lattice_px: Divisor of the sides of cores.
        window: Side of the window of features that is averaged after the last layer; 1 for none.
    """

    layers: tuple[Layer, ...]
    lattice_px: int
    window: int

    @classmethod
    def of(cls, network: nn.Module, lattice_px: int) -> "BandedNetwork | None":
        """Return a frozen network to be run in bands; None if one of its layers cannot."""
        dense = isinstance(network, DenseClassifier)
        if hasattr(network, "logit_map") and not (dense and _averages_as_usual(network)):
            return None
        layers = record(network, network.features if dense else network, lattice_px)
        if layers is None or layers[-1].stride != network.stride or lattice_px % layers[-1].stride:
            return None
        return cls(layers, lattice_px, network.window if dense else 1)

    def run(self, read: ReadImage, area: Area) -> Iterator[Band]:
        """Compute the features of an area, band after band.

        Args:
            read: Reads the image.
            area: The area; cells of a band may be larger than its cells, on the lattice.

        Raises:
            ModelError: The core is off the lattice, or the image lacks context.
        """
        wanted, cell_px = self.coarse(area)
        reach = reaches(self.layers, cell_px, self.window)
        sees_px = halo_px(reach)
        if sees_px > area.halo_px:
            raise ModelError(
                f"The image holds {area.halo_px} px around its core, but the network sees {sees_px} px. "
                f"Read {sees_px} px on each side."
            )
        bands = cell_bands(wanted, max(1, area.band_px // cell_px))
        if bands:
            yield from BandRun(self.layers, reach, read, wanted, bands)

    def coarse(self, area: Area) -> tuple[torch.Tensor, int]:
        """Return wanted cells whose sides lie on the lattice, and their side in px.

        Raises:
            ModelError: The core is off the lattice.
        """
        cell_px = lcm(area.cell_px, self.lattice_px)
        factor = cell_px // area.cell_px
        rows, columns = area.wanted.shape
        if rows % factor or columns % factor:
            size = f"{rows * area.cell_px} x {columns * area.cell_px} px"
            raise ModelError(f"A core of {size} is off the lattice. Give multiples of {self.lattice_px} px.")
        grouped = area.wanted.reshape(rows // factor, factor, columns // factor, factor)
        return torch.from_numpy(grouped.any(axis=(1, 3))), cell_px


def _averages_as_usual(network: nn.Module) -> bool:
    """Return whether a dense pass is the mean of a window of scores of features."""
    names = ("logit_map", "logits_of", "means_of", "_scores", "_window_means")
    return all(getattr(type(network), name) is getattr(DenseClassifier, name) for name in names)
