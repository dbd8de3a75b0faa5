"""What a vendor's TIFF says in tags that OpenSlide does not look at."""

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
"""JPEG and JPEG 2000, which OpenSlide decodes itself; libtiff mirrors each tile of the other compressions."""
_REMEDY = "export it from the vendor's program as a tiled RGB TIFF of 8 bits"


@dataclass(frozen=True, kw_only=True)
class VendorTags:
    """What the largest page of a vendor's TIFF says.

    Attributes:
        orientation: TIFF tag 274 that is still to be applied, 1 to 8.
        clues: What the resolution tags say.
    """

    orientation: int
    clues: MppClues


def tags_of(path: Path) -> VendorTags:
    """The tags of a slide that OpenSlide has opened; the defaults where it is no TIFF.

    Raises:
        SlideError: Its samples are not whole numbers of 8 bits, which OpenSlide would show as other
            colours, or each tile would be mirrored in its place.
    """
    page = _largest_page(path)
    if page is None:
        return VendorTags(orientation=1, clues=MppClues())
    if page.dtype != np.uint8 or page.samplesperpixel not in (1, 3):
        found = fault(page) or f"{page.samplesperpixel} samples a pixel"
        raise open_error(path, f"RGB of 8 bits is needed, but it holds {found}", _REMEDY)
    turned = orientation(page)
    if turned != 1 and int(page.compression) not in _DRAWN_AS_STORED:
        found = f"its Orientation tag is {turned}, which cannot be applied to tiles of this kind"
        raise open_error(path, found, _REMEDY)
    return VendorTags(orientation=turned, clues=clues_of_tags(page))


def _largest_page(path: Path) -> tifffile.TiffPage | None:
    """The largest TiffPage; None where the file is no TIFF, or one that only OpenSlide makes sense of."""
    with path.open("rb") as file:
        if not is_tiff(file.read(4)):
            return None
    try:
        with tifffile.TiffFile(path) as tiff:
            return max(tiff.pages, key=lambda page: page.imagelength * page.imagewidth)
    except Exception:  # damaged or odd files raise anything; OpenSlide has opened this one
        return None
