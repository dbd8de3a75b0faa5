"""Nuclei of another source, as a second layer of outlines."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsipipe.common.colours import MISSED, RIM
from wsipipe.geometry import Array, Region
from wsipipe.review.gui.layers import TRANSPARENT, placed
from wsipipe.review.gui.lazy_arrays import Read
from wsipipe.review.gui.outlines import RIM_NUMBER, outline_levels, outlines_placed
from wsipipe.review.published import PublishedSlide

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

MOST_READ_PX = 1 << 24
"""Most px of the labels that are read at once: zoomed out farther, nothing is shown."""
_LEVELS = 4


@dataclass(frozen=True)
class Reference:
    """Nuclei on the px grid of a result.

    Attributes:
        name: Name of the layer.
        read: Function that returns the ids (h, w) of a region inside the slide, 0 for background.
    """

    name: str
    read: Read


def add_reference(viewer: "ViewerModel", published: PublishedSlide, reference: Reference) -> "Layer":
    """Add the outlines of a reference to a viewer, above its other layers.

    Only levels without a pyramid are known, so nothing is shown of a field of more than
    :data:`MOST_READ_PX`.
    """
    from napari.utils.colormaps import DirectLabelColormap

    height, width = published.shape
    shapes = [(-(-height // 2**level), -(-width // 2**level)) for level in range(_LEVELS)]
    reads = [coarse(reference.read, published.shape, 2**level) for level in range(_LEVELS)]
    colours = {
        number: (*(part / 255 for part in rgb), 1.0) for number, rgb in ((1, MISSED), (RIM_NUMBER, RIM))
    }
    return viewer.add_labels(
        outline_levels(shapes, reads, lambda ids: np.ones(ids.shape, np.uint8), published.mpp),
        name=reference.name,
        opacity=1.0,
        colormap=DirectLabelColormap(color_dict={0: TRANSPARENT, None: TRANSPARENT, **colours}),
        **outlines_placed(placed(published.result, "labels/nuclei")),
    )


def coarse(read: Read, shape: tuple[int, int], every: int) -> Read:
    """Return a function that reads every n-th px of labels, also beyond their edges.

    Args:
        read: Function that reads a region inside the labels.
        shape: (height, width) of the labels.
        every: Px of the labels per px of the result.
    """

    def read_coarse(region: Region) -> Array:
        wide = region.scaled(every)
        inside = wide.clipped(shape)
        labels = np.zeros(wide.shape if inside.area_px <= MOST_READ_PX else (0, 0), np.int64)
        if not labels.size:
            return np.zeros(region.shape, np.int64)
        if inside.area_px:
            labels[inside.relative_to(wide).slices] = read(inside)
        return labels[::every, ::every]

    return read_coarse
