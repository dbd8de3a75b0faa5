"""Choose between decoding tiles here and OpenSlide."""

from pathlib import Path

import tifffile

from wsipipe.tiling.readers.base import Facts, Reader
from wsipipe.tiling.readers.direct_reader import DirectReader
from wsipipe.tiling.readers.jpeg_stream import library
from wsipipe.tiling.readers.openslide_reader import OpenSlideReader
from wsipipe.tiling.readers.tile_grid import TileGrid, grid_of

_JPEG = 7


def open_vendor_slide(path: Path) -> Reader:
    """Open a slide of a vendor that OpenSlide knows.

    Its tiles are decoded here where that is known to give the same pixels; the choice holds as long as the
    reader is open.

    Raises:
        SlideError: OpenSlide cannot open the file, or would show wrong pixels.
    """
    slide = OpenSlideReader(path)
    try:
        grids = _grids(path, slide.facts)
    except Exception:  # damaged or odd files raise anything; OpenSlide has opened this one
        return slide
    return DirectReader(path, slide, grids) if any(grids) else slide


def _grids(path: Path, facts: Facts) -> tuple[TileGrid | None, ...]:
    """Return the tiles of each level; None for those that OpenSlide reads."""
    levels = _LEVELS.get(facts.vendor)
    if levels is None:
        return ()
    with tifffile.TiffFile(path) as tiff:
        pages = [page for page in tiff.pages if page.is_tiled]
        if len(pages) != len(facts.shapes) or not levels(pages, facts):
            return ()
        return tuple(grid_of(page) if _is_checked(page) else None for page in pages)


def _is_aperio(pages: list[tifffile.TiffPage], facts: Facts) -> bool:
    """Return whether pages are the levels, without missing tiles.

    OpenSlide draws a missing tile from the tiles of a finer level.
    """
    shapes = tuple((page.imagelength, page.imagewidth) for page in pages)
    return shapes == facts.shapes and all(all(page.databytecounts) for page in pages)


def _is_philips(pages: list[tifffile.TiffPage], facts: Facts) -> bool:
    """Return whether pages can be the levels.

    OpenSlide crops levels according to the scales that the XML states.
    """
    return all(
        height <= page.imagelength and width <= page.imagewidth
        for page, (height, width) in zip(pages, facts.shapes, strict=True)
    )


def _is_checked(page: tifffile.TiffPage) -> bool:
    """Return whether damaged data of a page would be noticed."""
    return int(page.compression) != _JPEG or library() is not None


_LEVELS = {"aperio": _is_aperio, "philips": _is_philips}
