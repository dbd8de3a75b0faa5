"""Um per px of the attributes of an OME-Zarr."""

from collections.abc import Mapping
from typing import Any

from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.lengths import LENGTH_UM


def clues_of_axes(axes: list[Mapping[str, Any]], scale: list[float]) -> MppClues:
    """What the axes and the scale of an OME-Zarr multiscale say.

    Source: OME-Zarr 0.4 and 0.5, ``axes`` and ``coordinateTransformations``.
    """
    sizes = {}
    for axis, value in zip(axes, scale, strict=False):
        unit_um = LENGTH_UM.get(axis.get("unit", ""))
        if unit_um is not None:
            sizes[axis["name"]] = value * unit_um
    return MppClues(vendor=(sizes["y"], sizes["x"]) if {"y", "x"} <= sizes.keys() else None)
