"""Read micrometres per px from OME-Zarr axes and transformations."""

import math
from collections.abc import Mapping, Sequence

from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.lengths import LENGTH_UM


def clues_of_axes(axes: Sequence[Mapping[str, object]], scale: Sequence[float] | None) -> MppClues:
    """Return the scale stated by an OME-Zarr multiscale.

    Args:
        axes: Name and unit of each axis.
        scale: Units per px of the finest level along each axis; None if not stated.

    Source: OME-Zarr 0.4 and 0.5, ``axes`` and ``coordinateTransformations``.
    """
    sizes = {}
    for axis, value in zip(axes, scale or (), strict=False):
        unit = str(axis.get("unit", "")).strip()
        unit_um = LENGTH_UM.get(unit) or LENGTH_UM.get(unit.lower().replace("metre", "meter"))
        if unit_um is not None:
            sizes[axis["name"]] = value * unit_um
    return MppClues(vendor=(sizes["y"], sizes["x"]) if {"y", "x"} <= sizes.keys() else None)


def scale_of(dimensions: int, *transforms: Sequence[Mapping[str, object]] | None) -> list[float] | None:
    """Multiply the scales of several ``coordinateTransformations``.

    Args:
        dimensions: Number of axes.
        transforms: Transformations of the dataset, then those of the multiscale; None if there are none.
            Translations are ignored.

    Returns:
        Units per px along each axis; None if the dataset states no scale.

    Raises:
        ValueError: A scale is not a list of one number per axis.
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
