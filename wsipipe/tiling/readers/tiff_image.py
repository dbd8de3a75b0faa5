"""Find the slide among the images of a TIFF."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tifffile import TiffFile, TiffPage, TiffPageSeries

from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.tiff_colours import UnfitError, fault
from wsipipe.tiling.readers.tiff_resolution import clues_of_tags

Level = tuple[TiffPage, ...]
"""One page, or three that are red, green and blue."""

LARGEST_SEGMENT_PX = 1 << 26
_REDUCED, _MASK, _MACRO = 1, 4, 8
_ORIENTATION = 274
_UNNAMED = "{} images of one size, and nothing that says which is the slide or that they are colours"
_PLANES = {
    "Z": "a z stack of {} planes",
    "T": "a time series of {} images",
    "C": "{} channels that are not named red, green and blue",
}


@dataclass(frozen=True, kw_only=True)
class TiffImage:
    """Pages of the slide in a TIFF.

    Attributes:
        vendor: Name of the format.
        levels: Pages of each level, finest first.
        orientation: TIFF tag 274 of all levels, 1 to 8.
        clues: Statements of the file about its scale.
    """

    vendor: str
    levels: tuple[Level, ...]
    orientation: int
    clues: MppClues


def plain_image(tiff: TiffFile) -> TiffImage:
    """Return the largest image and its levels.

    The TIFF has no OME-XML. Levels are pages flagged as reduced, and SubIFDs. A thumbnail or macro image
    that comes first or is not flagged is neither the slide nor a level of it.

    Raises:
        UnfitError: The image is not RGB or grey of 8 bits, or is one of several planes.
    """
    pages = [page for page in tiff.pages if not int(page.subfiletype) & _MASK]
    if not pages:
        raise ValueError("it names no image; it was probably cut short")
    main = max(pages, key=lambda page: (_area(page), not _is_reduced(page)))
    if _area(main) == 0:
        raise ValueError("its largest image has no pixels")
    planes = _colour_planes(tiff, main, [page for page in pages if _area(page) == _area(main)])
    reduced = [] if len(planes) > 1 else [(page,) for page in pages if _is_reduced(page) and _area(page)]
    unit = (tiff.imagej_metadata or {}).get("unit") if tiff.is_imagej else None
    return image_of("tiff", planes, reduced, clues_of_tags(main, unit))


def image_of(vendor: str, planes: Level, reduced: list[Level], clues: MppClues) -> TiffImage:
    """Return the image of given pages with its levels.

    Levels are smaller pages that match, and SubIFDs.

    Raises:
        UnfitError: The pages are not RGB or grey of 8 bits, or cannot be read in parts.
    """
    for page in planes:
        found = fault(page) or _segment_fault(page)
        if found:
            raise UnfitError(found)
    main = planes[0]
    if any(_kind(page) != _kind(main) for page in planes):
        raise UnfitError("red, green and blue planes that differ in size, kind or orientation")
    smaller = {_area(level[0]): level for level in [*reduced, *_subifds(planes)] if _fits(level, main)}
    levels = (planes, *(smaller[area] for area in sorted(smaller, reverse=True)))
    return TiffImage(vendor=vendor, levels=levels, orientation=orientation(main), clues=clues)


def orientation(page: TiffPage) -> int:
    """Return TIFF tag 274; 1 if it is missing or invalid."""
    value = page.tags.valueof(_ORIENTATION)
    return int(value) if value is not None and 1 <= int(value) <= 8 else 1


def _colour_planes(tiff: TiffFile, main: TiffPage, same: list[TiffPage]) -> Level:
    """Return the page, or three pages marked as colours.

    Args:
        tiff: Open file.
        main: Largest page of the file.
        same: Pages of that size.

    Raises:
        UnfitError: The page is one plane of a stack, or one of several images of its size.
    """
    series = _series_of(tiff, main)
    if series is not None:
        sizes = dict(zip(series.axes, series.shape, strict=True))
        planes = {axis: size for axis, size in sizes.items() if axis not in "YXS" and size > 1}
        if series.kind == "shaped" and planes == {"C": 3} and len(same) == 3:
            return tuple(same)
        kind = "an ImageJ stack: " if series.kind == "imagej" else ""
        found = (_PLANES.get(axis, _UNNAMED).format(size) for axis, size in planes.items())
        raise UnfitError(kind + ", ".join(found))
    rivals = [page for page in same if not _is_reduced(page)]
    if len(rivals) > 1:
        raise UnfitError(_UNNAMED.format(len(rivals)))
    return (main,)


def _series_of(tiff: TiffFile, main: TiffPage) -> TiffPageSeries | None:
    """Return the series of several planes with a page, or None."""
    if tiff.is_ome:  # untrusted XML: tifffile would expand its entities
        return None
    for series in tiff.series:
        if any(page is not None and page.offset == main.offset for page in series.pages):
            several = math.prod(series.shape) // (_area(main) * main.samplesperpixel) > 1
            return series if several else None
    return None


def _subifds(planes: Level) -> Iterable[Level]:
    """Return the SubIFDs of all planes by level."""
    return list(zip(*(list(page.pages) if page.pages is not None else [] for page in planes), strict=False))


def _fits(level: Level, main: TiffPage) -> bool:
    """Return whether pages fit as a level of the main page.

    They must be smaller, of the same kind, and not of another orientation.
    """
    return all(
        0 < _area(page) < _area(main)
        and not int(page.subfiletype) & (_MASK | _MACRO)
        and page.samplesperpixel == main.samplesperpixel
        and fault(page) is None
        and _segment_fault(page) is None
        and (_ORIENTATION not in page.tags or orientation(page) == orientation(main))
        for page in level
    )


def _segment_fault(page: TiffPage) -> str | None:
    """Return the fault of an oversized segment, or None.

    A compressed strip or tile must be decoded as a whole.
    """
    height, width = page.chunks[:2]
    if page.is_memmappable or height * width <= LARGEST_SEGMENT_PX:
        return None
    return f"one compressed strip of it holds {height} x {width} px, which cannot be read in parts"


def _kind(page: TiffPage) -> tuple[int, ...]:
    return page.imagelength, page.imagewidth, page.samplesperpixel, int(page.photometric), orientation(page)


def _is_reduced(page: TiffPage) -> bool:
    return bool(int(page.subfiletype) & _REDUCED) and not int(page.subfiletype) & _MACRO


def _area(page: TiffPage) -> int:
    return int(page.imagelength) * int(page.imagewidth)
