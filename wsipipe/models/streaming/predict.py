"""Probabilities of a large area, in bands of rows."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from wsipipe.geometry import Region
from wsipipe.models.networks.dense_classifier import DenseClassifier
from wsipipe.models.streaming.area import Area
from wsipipe.models.streaming.bands import Band
from wsipipe.models.streaming.network import BandedNetwork

OfTensor = Callable[[torch.Tensor], torch.Tensor]


class BandPredictor:
    """Probabilities of an area, by a network that runs in bands.

    Args:
        network: The frozen network.
        banded: Its layers.
        normalised: RGB (h, w, 3) uint8 -> image (1, 3, h, w).
        activated: Scores (1, C, h, w) -> probabilities.
        is_unknown: Means of features (1, F, h, w) -> (h, w) bool.
    """

    def __init__(
        self,
        network: nn.Module,
        banded: BandedNetwork,
        normalised: Callable[[npt.NDArray[np.uint8]], torch.Tensor],
        activated: OfTensor,
        is_unknown: OfTensor,
    ) -> None:
        self._network, self._banded = network, banded
        self._normalised, self._activated, self._is_unknown = normalised, activated, is_unknown

    def run(
        self, pixels: npt.NDArray[np.uint8], area: Area, unknown: bool
    ) -> Iterator[tuple[Region, torch.Tensor, torch.Tensor | None]]:
        """Yield region, probabilities (C, h, w) and the mask of unknown features of each band."""
        halo = area.halo_px

        def read(region: Region) -> torch.Tensor:
            rows = slice(region.y + halo, region.end_y + halo)
            columns = slice(region.x + halo, region.end_x + halo)
            return self._normalised(pixels[rows, columns])[0].permute(1, 2, 0)

        wanted, cell_px = self._banded.coarse(area)
        output_px = cell_px // self._banded.layers[-1].stride
        bands = self._banded.run(read, area)
        while True:
            # Not around the yield: a generator would leave the caller in inference mode.
            with torch.inference_mode():
                band = next(bands, None)
                if band is None:
                    return
                probabilities, beyond = self._tail(band, unknown)
                inside = (
                    wanted[band.cells.slices].repeat_interleave(output_px, 0).repeat_interleave(output_px, 1)
                )
                probabilities = torch.where(inside, probabilities, 0)
            yield band.cells.scaled(output_px), probabilities, beyond

    def _tail(self, band: Band, unknown: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        features, edge = band.features.permute(2, 0, 1)[None], self._banded.window // 2
        height, width = features.shape[2:]
        inner = (..., slice(edge, height - edge), slice(edge, width - edge))
        if not isinstance(self._network, DenseClassifier):
            return self._activated(features)[0], None
        probabilities = self._activated(self._network.logits_of(features)[inner])[0]
        beyond = self._is_unknown(self._network.means_of(features)[inner]) if unknown else None
        return probabilities, beyond
