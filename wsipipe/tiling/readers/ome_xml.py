"""Parse the images of an OME-XML block.

They have sizes, channels, scale and places of planes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.lengths import LENGTH_UM


@dataclass(frozen=True, kw_only=True)
class PlaneBlock:
    """Consecutive planes in one file (``TiffData``).

    Attributes:
        file: Name of the file; None for the file with the XML.
        uuid: Unique id of the file, or None.
        first: Index of the first plane, counted along the channels.
        ifd: Directory of the first plane.
        count: Number of planes; None for all that remain.
    """

    file: str | None
    uuid: str | None
    first: int
    ifd: int
    count: int | None


_ALL_HERE = PlaneBlock(file=None, uuid=None, first=0, ifd=0, count=None)


@dataclass(frozen=True, kw_only=True)
class OmeImage:
    """One ``Image`` of an OME-XML block.

    Attributes:
        shape: (height, width) in px.
        channels: Number of channels; an RGB channel counts three times.
        slices: Planes along z.
        times: Time points.
        names: Names of the channels; "" for none.
        colours: Display colours of the channels as 0xRRGGBB; None for none.
        blocks: Places of the planes.
        clues: Statements about the scale.
    """

    shape: tuple[int, int]
    channels: int
    slices: int
    times: int
    names: tuple[str, ...]
    colours: tuple[int | None, ...]
    blocks: tuple[PlaneBlock, ...]
    clues: MppClues


@dataclass(frozen=True, kw_only=True)
class OmeBlock:
    """Content of an OME-XML block.

    Attributes:
        uuid: Unique id of the file with the XML, or None.
        metadata_file: File with the whole XML if this block only refers to it, else None.
        images: Images of the block.
    """

    uuid: str | None
    metadata_file: str | None
    images: tuple[OmeImage, ...]


def parse_ome(text: str) -> OmeBlock | None:
    """Parse an OME-XML block; None for any other text.

    Source: OME schema 2016-06 and its ``TiffData``, ``UUID`` and ``BinaryOnly``.
    """
    try:
        root = ElementTree.fromstring(text)
        only = next(_children(root, "BinaryOnly"), None)
        if only is not None:
            return OmeBlock(uuid=_id(only.get("UUID")), metadata_file=only.get("MetadataFile"), images=())
        images = [_image(root, image, pixels) for image, pixels in _pixels(root)]
    except (ParseError, DefusedXmlException, ValueError, KeyError):
        return None
    return OmeBlock(uuid=_id(root.get("UUID")), metadata_file=None, images=tuple(images))


def _pixels(root: Element) -> Iterator[tuple[Element, Element]]:
    for image in _children(root, "Image"):
        for pixels in _children(image, "Pixels"):
            yield image, pixels


def _image(root: Element, image: Element, pixels: Element) -> OmeImage:
    channels = list(_children(pixels, "Channel"))
    return OmeImage(
        shape=(int(pixels.attrib["SizeY"]), int(pixels.attrib["SizeX"])),
        channels=int(pixels.get("SizeC", "1")),
        slices=int(pixels.get("SizeZ", "1")),
        times=int(pixels.get("SizeT", "1")),
        names=tuple((channel.get("Name") or "").strip() for channel in channels),
        colours=tuple(_colour(channel.get("Color")) for channel in channels),
        blocks=tuple(_block(data) for data in _children(pixels, "TiffData")) or (_ALL_HERE,),
        clues=MppClues(vendor=_physical_size(pixels), objective=_objective(root, image)),
    )


def _block(data: Element) -> PlaneBlock:
    uuid = next(_children(data, "UUID"), None)
    ifd, count = data.get("IFD"), data.get("PlaneCount") or data.get("NumPlanes")
    return PlaneBlock(
        file=None if uuid is None else uuid.get("FileName"),
        uuid=None if uuid is None else _id(uuid.text),
        first=int(data.get("FirstC", "0")),
        ifd=int(ifd or 0),
        count=int(count) if count else (None if ifd is None else 1),
    )


def _objective(root: Element, image: Element) -> float | None:
    """Return the magnification of the objective of an image.

    If no image names an objective, it is that of the only objective.
    """
    instruments = [
        objective for e in _children(root, "Instrument") for objective in _children(e, "Objective")
    ]
    named = [setting.get("ID") for setting in _children(image, "ObjectiveSettings")]
    if named:
        found = [objective for objective in instruments if objective.get("ID") in named]
    else:
        others = any(
            True for other in _children(root, "Image") for _ in _children(other, "ObjectiveSettings")
        )
        found = [] if others or len(instruments) != 1 else instruments
    return next((_number(power) for e in found if (power := e.get("NominalMagnification"))), None)


def _physical_size(pixels: Element) -> tuple[float, float] | None:
    """Return the size of a px, (y, x) in um.

    None without a size or a unit of length.
    """
    sizes = []
    for axis in "YX":
        size, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")
        if size is None or unit not in LENGTH_UM:
            return None
        sizes.append(_number(size) * LENGTH_UM[unit])
    return sizes[0], sizes[1]


def _children(element: Element, name: str) -> Iterator[Element]:
    """Return the children of a name in any namespace."""
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def _colour(text: str | None) -> int | None:
    """Convert signed RGBA to 0xRRGGBB; None if invalid."""
    try:
        return None if text is None else int(text) >> 8 & 0xFFFFFF
    except ValueError:
        return None


def _id(text: str | None) -> str | None:
    return text.strip().lower() if text and text.strip() else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
