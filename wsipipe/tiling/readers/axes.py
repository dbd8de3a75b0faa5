"""Um per px of an OME-Zarr, from its axes and coordinate transformations."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from wsipipe.tiling.mpp import MppClues

_METRES = {
    "angstrom": 1e-10,
    "picometer": 1e-12,
    "nanometer": 1e-9,
    "micrometer": 1e-6,
    "millimeter": 1e-3,
    "centimeter": 1e-2,
    "decimeter": 1e-1,
    "meter": 1.0,
    "inch": 0.0254,
    "foot": 0.3048,
    "yard": 0.9144,
}
"""Units of space that OME-Zarr names (0.4 and 0.5, ``axes``), as far as a slide may have them."""
_SHORT = {"Å": "angstrom", "pm": "picometer", "nm": "nanometer", "mm": "millimeter", "cm": "centimeter"}
_SHORT |= {"um": "micrometer", "µm": "micrometer", "μm": "micrometer", "micron": "micrometer"}
_SHORT |= {"m": "meter", "in": "inch"}


def clues_of_axes(axes: Sequence[Mapping[str, Any]], scale: Sequence[float] | None) -> MppClues:
    """What the axes and the scale of an OME-Zarr multiscale say.

    Args:
        axes: Name and unit of each axis.
        scale: Units per px of the finest level along each axis; None where the file states none.

    Source: OME-Zarr 0.4 and 0.5, ``axes`` and ``coordinateTransformations``.
    """
    sizes = {}
    for axis, value in zip(axes, scale or (), strict=False):
        unit = str(axis.get("unit", "")).strip()
        metres = _METRES.get(_SHORT.get(unit, unit.lower().replace("metre", "meter")))
        if metres is not None:
            sizes[axis["name"]] = value * metres * 1e6
    return MppClues(vendor=(sizes["y"], sizes["x"]) if {"y", "x"} <= sizes.keys() else None)


def scale_of(dimensions: int, *transforms: Sequence[Mapping[str, Any]] | None) -> list[float] | None:
    """The product of the scales of several ``coordinateTransformations``, applied one after another.

    Args:
        dimensions: Number of axes.
        transforms: First those of the dataset, then those of the whole multiscale; None where the
            file has none. Translations move the image as a whole and do not matter here.

    Returns:
        Units per px along each axis; None where the dataset states no scale.

    Raises:
        ValueError: A scale is no list of a number for each axis.
    """
    if not transforms or not transforms[0]:
        return None
    product = [1.0] * dimensions
    for transform in (each for several in transforms for each in several or ()):
        if transform.get("type") == "scale":
            factors = transform.get("scale")
            if not isinstance(factors, list) or len(factors) != dimensions:
                raise ValueError(
                    f"its scale {factors!r} is no list of {dimensions} numbers, one for each axis"
                )
            product = [one * float(factor) for one, factor in zip(product, factors, strict=True)]
    return product if all(math.isfinite(factor) for factor in product) else None
