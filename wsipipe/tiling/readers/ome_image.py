"""Open the slide of an OME-TIFF and find its RGB planes."""

import re
from pathlib import Path

import tifffile

from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.base import open_error
from wsipipe.tiling.readers.ome_files import SET_REMEDY, OmeSlide
from wsipipe.tiling.readers.ome_xml import OmeImage, parse_ome
from wsipipe.tiling.readers.tiff_colours import UnfitError
from wsipipe.tiling.readers.tiff_image import TiffImage, image_of
from wsipipe.tiling.readers.tiff_resolution import clues_of_tags

_NAMES = (("red", "r"), ("green", "g"), ("blue", "b"))
_COLOURS = (0xFF0000, 0x00FF00, 0x0000FF)
_NUMBERED = re.compile(r"(channel|ch|c)?[\s:_-]*\d*([:_]\d+)*", re.IGNORECASE)


def ome_image(path: Path, files: dict[Path, tifffile.TiffFile], slide: OmeSlide) -> TiffImage:
    """Return the pages of the slide.

    The needed files of the set are opened.

    Args:
        path: Path of the slide.
        files: Open files; newly opened files are added.
        slide: Files of the planes.

    Raises:
        UnfitError: The image is not RGB or grey of 8 bits in one plane.
        SlideError: A file of the set is missing, or belongs to another set.
    """
    image = slide.image
    for count, what in (
        (image.slices, "a z stack of {} planes"),
        (image.times, "a time series of {} images"),
    ):
        if count > 1:
            raise UnfitError(what.format(count))
    first = _page(path, files, slide, 0)
    count = max(image.channels // first.samplesperpixel, 1)
    pages = (first,) if count == 1 else tuple(_page(path, files, slide, i) for i in _order(image, count))
    for page in pages:
        found = (page.imagelength, page.imagewidth)
        if found != image.shape:
            raise UnfitError(f"a plane of {found[0]} x {found[1]} px, where its OME-XML says {image.shape}")
    tags = clues_of_tags(pages[0])
    xml = image.clues
    clues = MppClues(vendor=xml.vendor, tiff=tags.tiff, tiff_tags=tags.tiff_tags, objective=xml.objective)
    return image_of("ome-tiff", pages, [], clues)


def _order(image: OmeImage, count: int) -> tuple[int, ...]:
    """Return the indices of the red, green and blue planes.

    They are found by name, then by display colour; without either, three channels are in this order.

    Raises:
        UnfitError: There are not three channels, or they are no colours.
    """
    names = [name.lower() for name in image.names]
    meaningful = [name for name in names if not _NUMBERED.fullmatch(name)]
    if count == 3:
        named = tuple(
            next((i for i, name in enumerate(names) if name in spellings), -1) for spellings in _NAMES
        )
        if sorted(named) == [0, 1, 2]:
            return named
        if not meaningful:
            coloured = tuple(image.colours.index(c) if c in image.colours else -1 for c in _COLOURS)
            return coloured if sorted(coloured) == [0, 1, 2] else (0, 1, 2)
    listed = f" ({', '.join(image.names)})" if meaningful else ""
    raise UnfitError(f"{count} channels{listed} that are not red, green and blue")


def _page(path: Path, files: dict[Path, tifffile.TiffFile], slide: OmeSlide, index: int) -> tifffile.TiffPage:
    """Return the page of a plane."""
    if index >= len(slide.planes):
        raise UnfitError(f"an OME-XML that does not say where plane {index} of its image lies")
    file, ifd = slide.planes[index]
    if file not in files:
        files[file] = _opened(path, file, slide.uuids.get(file))
    pages = files[file].pages
    if ifd >= len(pages):
        raise open_error(
            path, f"{file.name} has no directory {ifd}, where its OME-XML says that a plane lies", SET_REMEDY
        )
    return pages[ifd]


def _opened(path: Path, file: Path, uuid: str | None) -> tifffile.TiffFile:
    """Open a companion and check its unique id."""
    if not file.is_file():
        raise open_error(path, f"{file.name} is missing, where one of its channels lies", SET_REMEDY)
    try:
        tiff = tifffile.TiffFile(file)
    except Exception as error:  # damaged files raise anything
        raise open_error(
            path, f"{file.name}, where one of its channels lies, does not open: {error}", SET_REMEDY
        ) from error
    own = parse_ome(tiff.ome_metadata) if tiff.ome_metadata else None
    if uuid and own is not None and own.uuid and own.uuid != uuid:
        tiff.close()
        raise open_error(
            path, f"{file.name} is a file of another set: its unique id is {own.uuid}, not {uuid}", SET_REMEDY
        )
    return tiff
