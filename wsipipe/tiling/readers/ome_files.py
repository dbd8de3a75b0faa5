"""Find the file of each plane of an OME-TIFF.

A set may spread one image over several files.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import tifffile

from wsipipe.tiling.readers.base import open_error
from wsipipe.tiling.readers.ome_xml import OmeBlock, OmeImage, PlaneBlock, parse_ome
from wsipipe.tiling.readers.tiff_colours import UnfitError
from wsipipe.tiling.readers.tiff_head import is_tiff

SET_REMEDY = "put every file of the set into the same folder, under the names that the OME-XML gives them"


@dataclass(frozen=True, kw_only=True)
class OmeSlide:
    """The image of an OME-TIFF set that is the slide.

    Attributes:
        image: Description in the OME-XML.
        planes: (file, directory) of each plane in the order of the channels.
        companions: All other files of the set, existing or not.
        uuids: Unique ids of the other files in the OME-XML.
    """

    image: OmeImage
    planes: tuple[tuple[Path, int], ...]
    companions: tuple[Path, ...]
    uuids: dict[Path, str]


def companions(path: Path) -> list[Path]:
    """Return the other files of an OME-TIFF set.

    Empty for any other file, or if the OME-XML is unusable.
    """
    try:
        if not path.is_file():  # opening a pipe would block
            return []
        with path.open("rb") as file:
            if not is_tiff(file.read(4)):
                return []
        with tifffile.TiffFile(path) as tiff:
            text = tiff.ome_metadata
            slide = ome_slide(path, text) if text else None
    except Exception:  # damaged files raise anything; the reader reports the error on opening
        return []
    return [] if slide is None else list(slide.companions)


def ome_slide(path: Path, text: str) -> OmeSlide | None:
    """Return the slide among the images of an OME-XML block.

    Returns:
        The slide; None if the text describes no image.

    Raises:
        UnfitError: Two images are the largest, or the XML does not state the place of a plane.
        SlideError: The file with the whole XML is missing or in another folder.
    """
    block, master = parse_ome(text), None
    if block is not None and block.metadata_file is not None:
        master = _beside(path, block.metadata_file)
        block = _whole_block(path, master, block)
    if block is None or not block.images:
        return None
    places = _BlockFiles(path, block)
    image = _largest(
        [i for i in block.images if any(places.holds(b) for b in i.blocks)] or list(block.images)
    )
    where = places.files(image)
    others = {file for file in where if file != path} | ({master} if master else set())
    uuids = {file: b.uuid for file, b in zip(where, image.blocks, strict=True) if file != path and b.uuid}
    planes = _planes(image, where)
    return OmeSlide(image=image, planes=planes, companions=tuple(sorted(others)), uuids=uuids)


class _BlockFiles:
    """Files of the plane blocks of an OME-XML.

    A renamed file is recognised by its unique id, or as the only file that the XML names.
    """

    def __init__(self, path: Path, block: OmeBlock) -> None:
        self._path = path
        self._uuid = block.uuid
        self._alone = len({b.file for image in block.images for b in image.blocks if b.file}) == 1

    def holds(self, block: PlaneBlock) -> bool:
        """Return whether the planes of a block are in the opened file."""
        if block.file is not None and block.uuid is not None and self._uuid is not None:
            return block.uuid == self._uuid
        return block.file is None or block.file == self._path.name

    def files(self, image: OmeImage) -> list[Path]:
        """Return the file of each block of an image."""
        return [self._file(block) for block in image.blocks]

    def _file(self, block: PlaneBlock) -> Path:
        if block.file is None or self.holds(block):
            return self._path
        other = _beside(self._path, block.file)
        renamed = self._alone and None in (block.uuid, self._uuid) and not other.exists()
        return self._path if renamed else other


def _largest(images: list[OmeImage]) -> OmeImage:
    area = max(image.shape[0] * image.shape[1] for image in images)
    largest = [image for image in images if image.shape[0] * image.shape[1] == area]
    if len(largest) > 1:
        height, width = largest[0].shape
        raise UnfitError(f"{len(largest)} images of {height} x {width} px, none of which is named the slide")
    return largest[0]


def _planes(image: OmeImage, where: list[Path]) -> tuple[tuple[Path, int], ...]:
    """Return (file, directory) of the planes in order.

    RGB channels share a plane.
    """
    found: dict[int, tuple[Path, int]] = {}
    for block, file in zip(image.blocks, where, strict=True):
        count = image.channels - block.first if block.count is None else block.count
        for index in range(min(count, image.channels)):
            found.setdefault(block.first + index, (file, block.ifd + index))
    if 0 not in found:
        raise UnfitError("an OME-XML that does not say where the pixels lie")
    return tuple(found[index] for index in sorted(found))


def _beside(path: Path, name: str) -> Path:
    """Return the path of a file named in OME-XML.

    Raises:
        SlideError: The file is outside the folder of ``path``.
    """
    inside = os.path.normpath(name)
    if os.path.isabs(inside) or inside.startswith(os.pardir):
        raise open_error(path, f"its OME-XML names {name}, outside its own folder", SET_REMEDY)
    return path.parent / inside


def _whole_block(path: Path, master: Path, reference: OmeBlock) -> OmeBlock | None:
    """Read the XML of the file that ``path`` refers to."""
    try:
        if master.suffix.lower() in (".tif", ".tiff"):
            with tifffile.TiffFile(master) as tiff:
                text = tiff.ome_metadata or ""
        else:
            text = master.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise open_error(
            path, f"its OME-XML lies in {master.name}, which cannot be read: {error}", SET_REMEDY
        ) from error
    block = parse_ome(text)
    return None if block is None else OmeBlock(uuid=reference.uuid, metadata_file=None, images=block.images)
