"""Read micrometres per px from TIFF tags."""

import math

from tifffile import TiffPage

from wsipipe.tiling.mpp import MppClues, mpp_from_resolution
from wsipipe.tiling.readers.lengths import LENGTH_UM

_UNITS = {1: "without a unit", 2: "per inch", 3: "per cm"}
_DEFAULT_UNIT = 2
_RATIONAL = (5, 10)


def clues_of_tags(page: TiffPage, unit_name: str | None = None) -> MppClues:
    """Return the scale stated by the resolution tags of a page.

    Args:
        page: Page with the tags XResolution, YResolution and ResolutionUnit.
        unit_name: ImageJ's ``unit``; if it is a unit of length, it replaces ResolutionUnit.

    Source: TIFF 6.0, tags 282, 283, 296; ImageJ's TiffEncoder for ``unit``.
    """
    y, x = _number(page, 283), _number(page, 282)
    if y is None or x is None:
        return MppClues()
    named = _plain(unit_name)
    if named in LENGTH_UM:
        unit_um = LENGTH_UM[named]
        size = (unit_um / y, unit_um / x) if y > 0 and x > 0 else None
        return MppClues(tiff=size, tiff_tags=_text(y, x, f"per {named}"))
    stated = page.tags.valueof(296)
    unit = _DEFAULT_UNIT if stated is None else int(stated)
    tags = _text(y, x, _UNITS.get(unit, f"in the unknown unit {unit}"))
    return MppClues(tiff=mpp_from_resolution(y, x, unit), tiff_tags=tags)


def own_scale(first: TiffPage, page: TiffPage) -> float | None:
    """Return the downsample of a level by its tags.

    Many writers give all levels the tags of the first, so the result is valid only if it fits the shapes.

    Returns:
        Downsample; None without tags.
    """
    numbers = [_number(level, code) for level in (first, page) for code in (283, 282)]
    known = [number for number in numbers if number is not None and 0 < number < math.inf]
    if len(known) < 4:
        return None
    y, x, own_y, own_x = known
    return math.sqrt(y / own_y * (x / own_x))


def _number(page: TiffPage, code: int) -> float | None:
    """Return the value of a number tag.

    It is 0 if its denominator is 0. Types are RATIONAL, FLOAT, DOUBLE and integers.
    """
    tag = page.tags.get(code)
    if tag is None:
        return None
    value = tag.value if isinstance(tag.value, tuple) else (tag.value,)
    if int(tag.dtype) in _RATIONAL and len(value) == 2:
        return float(value[0] / value[1]) if value[1] else 0.0
    return float(value[0]) if len(value) == 1 and isinstance(value[0], int | float) else None


def _plain(unit: str | None) -> str:
    """Return the unit of ImageJ as spelled in ``LENGTH_UM``."""
    return str(unit or "").replace("\\u00B5", "µ").replace("\\u00b5", "µ").strip()


def _text(y: float, x: float, unit: str) -> str:
    """Format the tags for messages."""
    same = y == x or (math.isnan(y) and math.isnan(x))
    return f"{y:.9g} px {unit}" if same else f"{y:.9g} (y) and {x:.9g} (x) px {unit}"
