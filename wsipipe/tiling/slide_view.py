"""Thumbnail and description of a slide, for notebooks."""

from typing import TYPE_CHECKING

from PIL import Image

from wsipipe.common.html_tables import facts_table, picture_html
from wsipipe.errors import WsipipeError
from wsipipe.geometry import Region

if TYPE_CHECKING:
    from wsipipe.tiling.slide import Slide

SHOWN_PX = 256


def thumbnail(slide: "Slide", side_px: int) -> Image.Image:
    """Return the scanned area as a small picture, white where nothing was scanned.

    Args:
        slide: An open slide.
        side_px: Longer side of the picture, px.
    """
    scale = max(slide.bounds.shape) / side_px
    height, width = (max(1, round(side / scale)) for side in slide.bounds.shape)
    return Image.fromarray(slide.read(Region(0, 0, height, width), slide.mpp * scale))


def slide_html(slide: "Slide") -> str:
    """Return facts and a thumbnail as HTML; facts alone where the slide cannot be read."""
    height, width = slide.bounds.shape
    facts = {
        "file": slide.path,
        "format": slide.vendor,
        "size": f"{height:,} x {width:,} px (height x width)",
        "resolution": f"{slide.mpp:.4f} um/px ({slide.mpp_source})",
        "scanned area": f"{height * slide.mpp / 1000:.2f} x {width * slide.mpp / 1000:.2f} mm",
        "levels": ", ".join(f"{level.downsample:g}" for level in slide.levels),
    }
    try:
        picture = picture_html(thumbnail(slide, SHOWN_PX), f"thumbnail of {slide.path.name}")
    except WsipipeError:
        picture = ""
    return facts_table("Slide", facts, picture)
