"""Read TIFF tags of vendors' slides that OpenSlide ignores."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.base import open_error
from wsipipe.tiling.readers.tiff_colours import fault
from wsipipe.tiling.readers.tiff_head import is_tiff
from wsipipe.tiling.readers.tiff_image import orientation
from wsipipe.tiling.readers.tiff_resolution import clues_of_tags

_DRAWN_AS_STORED = (7, 33003, 33005)
"""JPEG and JPEG 2000, decoded by OpenSlide; libtiff mirrors each tile of other compressions."""
_REMEDY = "export it from the vendor's program as a tiled RGB TIFF of 8 bits"


@dataclass(frozen=True, kw_only=True)
class VendorTags:
    """Tags of the largest page of a vendor's TIFF.

    Attributes:
        orientation: TIFF tag 274, 1 to 8, which OpenSlide does not apply.
        clues: Scale stated by the resolution tags.
    """

    orientation: int
    clues: MppClues


def tags_of(path: Path) -> VendorTags:
    """Return the tags of a vendor's slide.

    A file that is no TIFF has the defaults.

    Raises:
        SlideError: OpenSlide would show wrong colours, since samples are not integers of 8 bits, or would
            mirror each tile.
    """
    page = _largest_page(path)
    if page is None:
        return VendorTags(orientation=1, clues=MppClues())
    if page.dtype != np.uint8 or page.samplesperpixel not in (1, 3):
        found = fault(page) or f"{page.samplesperpixel} samples a pixel"
        raise open_error(path, f"RGB of 8 bits is needed, but it holds {found}", _REMEDY)
    tag = orientation(page)
    if tag != 1 and int(page.compression) not in _DRAWN_AS_STORED:
        found = f"its Orientation tag is {tag}, which cannot be applied to tiles of this kind"
        raise open_error(path, found, _REMEDY)
    return VendorTags(orientation=tag, clues=clues_of_tags(page))


def _largest_page(path: Path) -> tifffile.TiffPage | None:
    """Return the largest page; None if unreadable."""
    with path.open("rb") as file:
        if not is_tiff(file.read(4)):
            return None
    try:
        with tifffile.TiffFile(path) as tiff:
            return max(tiff.pages, key=lambda page: page.imagelength * page.imagewidth)
    except Exception:  # damaged or odd files raise anything; OpenSlide has opened this one
        return None
