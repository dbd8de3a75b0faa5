"""What a network shall compute of a large image, and what it found. Without torch."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsipipe.geometry import Region


@dataclass(frozen=True)
class Area:
    """The part of an image for which a network runs.

    Attributes:
        wanted: Cells to compute, (rows, columns) bool; they tile the core.
        cell_px: Side of a cell, image px.
        halo_px: Context that the image holds on each side of the core, px.
        band_px: Rows of the core in a band, image px; bounds memory, never changes the result.
    """

    wanted: npt.NDArray[np.bool_]
    cell_px: int
    halo_px: int
    band_px: int


class Found(NamedTuple):
    """Result for a band of the core.

    Attributes:
        region: The band, in output px of the core.
        probabilities: (C, h, w) float32 in [0, 1]; 0 outside the wanted cells.
        unknown: Where the features are unknown, (h, w) bool; None if that was not asked for.
    """

    region: Region
    probabilities: npt.NDArray[np.float32]
    unknown: npt.NDArray[np.bool_] | None
