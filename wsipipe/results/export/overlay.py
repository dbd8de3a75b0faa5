"""Draw nuclei and tissue classes over the image, tile by tile."""

from dataclasses import dataclass

import numpy as np
import zarr

from wsipipe.common.colours import NUCLEUS
from wsipipe.geometry import Array, Region
from wsipipe.store.arrays import read_region
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.store.ome_metadata import LabelClass

CLASS_SHARE = 0.25
_WHITE = 255


@dataclass(frozen=True)
class Overlay:
    """One level of the overlay.

    Attributes:
        image: Image (3, y, x) of the level.
        nuclei: Labels (y, x) of the level; None without nuclei.
        classes: Class map (y, x) uint8; None without one.
        cell_px: Side of a cell of the class map in px of the level.
        legend: Classes of the map.
    """

    image: zarr.Array
    nuclei: zarr.Array | None
    classes: zarr.Array | None
    cell_px: float
    legend: tuple[LabelClass, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the level."""
        return self.image.shape[1], self.image.shape[2]

    def tile(self, region: Region) -> Array:
        """Return the picture (h, w, 3) uint8 of a region."""
        picture = np.moveaxis(read_region(self.image, region, _WHITE), 0, 2).astype(np.float32)
        if self.classes is not None:
            self._tint(picture, region, self.classes)
        if self.nuclei is not None:
            labels = read_region(self.nuclei, region.grown(1), 0)
            picture[outlines(labels)] = NUCLEUS
        return np.rint(picture).astype(np.uint8)

    def _tint(self, picture: Array, region: Region, classes: zarr.Array) -> None:
        colours, share = np.zeros((256, 3), np.float32), np.zeros(256, np.float32)
        for item in self.legend:
            colours[item.value], share[item.value] = item.rgb, CLASS_SHARE
        rows, columns = (
            ((np.arange(start, start + side) + 0.5) / self.cell_px).astype(int)
            for start, side in ((region.y, region.height), (region.x, region.width))
        )
        cells = Region(rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
        found = read_region(classes, cells, NOT_COMPUTED)[np.ix_(rows - rows[0], columns - columns[0])]
        picture += share[found][..., None] * (colours[found] - picture)


def outlines(labels: Array) -> Array:
    """Return the outermost px of every label.

    Args:
        labels: Labels (h + 2, w + 2) with a margin of one px.

    Returns:
        Mask (h, w) of the px with a label and another value above, below, left or right of it.
    """
    middle = labels[1:-1, 1:-1]
    around = (labels[:-2, 1:-1], labels[2:, 1:-1], labels[1:-1, :-2], labels[1:-1, 2:])
    return (middle > 0) & np.logical_or.reduce([other != middle for other in around])
