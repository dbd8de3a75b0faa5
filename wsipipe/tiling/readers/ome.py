"""Um per px and objective of OME metadata, as OME-XML."""

import math
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from wsipipe.tiling.mpp import MppClues

_UM = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "in": 25400.0}
_UM |= {"nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6}


def clues_of_xml(text: str, shape: tuple[int, int]) -> MppClues:
    """What an OME-XML block says of the image of ``shape`` (height, width).

    Source: OME schema 2016-06, ``Pixels/@PhysicalSizeX``, ``Objective/@NominalMagnification``.
    """
    try:
        root = ElementTree.fromstring(text)
    except (ParseError, DefusedXmlException, ValueError):
        return MppClues()
    pixels = [e for e in root.iter() if e.tag.endswith("}Pixels")]
    sized = [e for e in pixels if (e.get("SizeY"), e.get("SizeX")) == tuple(map(str, shape))]
    powers = [e.get("NominalMagnification") for e in root.iter() if e.tag.endswith("}Objective")]
    objective = next((_number(power) for power in powers if power), None)
    return MppClues(vendor=_physical_size((sized or pixels)[0]) if pixels else None, objective=objective)


def _physical_size(pixels: Element) -> tuple[float, float] | None:
    sizes = []
    for axis in "YX":
        size, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")
        if size is None or unit not in _UM:  # "pixel" and "reference frame" are no lengths
            return None
        sizes.append(_number(size) * _UM[unit])
    return sizes[0], sizes[1]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
