"""In which file each plane of an OME-TIFF lies; a set may spread one image over several files."""

import os
from dataclasses import dataclass
from pathlib import Path

import tifffile

from wsipipe.tiling.readers.base import open_error
from wsipipe.tiling.readers.ome_xml import Block, OmeBlock, OmeImage, parse_ome
from wsipipe.tiling.readers.tiff_colours import UnfitError
from wsipipe.tiling.readers.tiff_head import is_tiff

SET_REMEDY = "put every file of the set into the same folder, under the names that the OME-XML gives them"


@dataclass(frozen=True, kw_only=True)
class OmeSlide:
    """The image of an OME-TIFF that is the slide.

    Attributes:
        image: What the OME-XML says of it.
        planes: (file, directory) of each plane, in the order of the channels.
        companions: Every other file of the set, there or not.
        uuids: Unique id that the OME-XML gives each file of another name.
    """

    image: OmeImage
    planes: tuple[tuple[Path, int], ...]
    companions: tuple[Path, ...]
    uuids: dict[Path, str]


def companions(path: Path) -> list[Path]:
    """The other files of an OME-TIFF set; none for any other file, or where the OME-XML is no use."""
    try:
        if not path.is_file():  # opening a pipe would wait for its other end
            return []
        with path.open("rb") as file:
            if not is_tiff(file.read(4)):
                return []
        with tifffile.TiffFile(path) as tiff:
            text = tiff.ome_metadata
            slide = ome_slide(path, text) if text else None
    except Exception:  # damaged files raise anything; the reader that opens it says what is wrong
        return []
    return [] if slide is None else list(slide.companions)


def ome_slide(path: Path, text: str) -> OmeSlide | None:
    """The slide among the images of an OME-XML block; None where the text describes none.

    Raises:
        UnfitError: Two images are the largest, or the XML does not say where a plane lies.
        SlideError: The file with the whole XML is missing or lies elsewhere.
    """
    block, master = parse_ome(text), None
    if block is not None and block.metadata_file is not None:
        master = _beside(path, block.metadata_file)
        block = _whole_block(path, master, block)
    if block is None or not block.images:
        return None
    own = _Own(path, block)
    image = _largest([i for i in block.images if any(own.holds(b) for b in i.blocks)] or list(block.images))
    where = own.files(image)
    others = {file for file in where if file != path} | ({master} if master else set())
    uuids = {file: b.uuid for file, b in zip(where, image.blocks, strict=True) if file != path and b.uuid}
    planes = _planes(image, where)
    return OmeSlide(image=image, planes=planes, companions=tuple(sorted(others)), uuids=uuids)


class _Own:
    """Which blocks of an OME-XML lie in the file that was opened.

    A renamed file is known by its unique id, or by being the only one that the XML names.
    """

    def __init__(self, path: Path, block: OmeBlock) -> None:
        self._path = path
        self._uuid = block.uuid
        self._alone = len({b.file for image in block.images for b in image.blocks if b.file}) == 1

    def holds(self, block: Block) -> bool:
        """Whether the planes of a block lie in the opened file."""
        if block.file is not None and block.uuid is not None and self._uuid is not None:
            return block.uuid == self._uuid
        return block.file is None or block.file == self._path.name

    def files(self, image: OmeImage) -> list[Path]:
        """The file of each block of an image."""
        return [self._file(block) for block in image.blocks]

    def _file(self, block: Block) -> Path:
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
    """(file, directory) of the planes that the blocks name, by their number; RGB channels share a plane."""
    found: dict[int, tuple[Path, int]] = {}
    for block, file in zip(image.blocks, where, strict=True):
        count = image.channels - block.first if block.count is None else block.count
        for index in range(min(count, image.channels)):
            found.setdefault(block.first + index, (file, block.ifd + index))
    if 0 not in found:
        raise UnfitError("an OME-XML that does not say where the pixels lie")
    return tuple(found[index] for index in sorted(found))


def _beside(path: Path, name: str) -> Path:
    """The file of a name that the OME-XML of ``path`` gives.

    Raises:
        SlideError: It lies outside the folder of ``path``.
    """
    inside = os.path.normpath(name)
    if os.path.isabs(inside) or inside.startswith(os.pardir):
        raise open_error(path, f"its OME-XML names {name}, outside its own folder", SET_REMEDY)
    return path.parent / inside


def _whole_block(path: Path, master: Path, reference: OmeBlock) -> OmeBlock | None:
    """The XML of the file that ``path`` refers to, seen from ``path``."""
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
