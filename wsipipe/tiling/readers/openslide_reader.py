"""Read slides with OpenSlide.

Formats are SVS, NDPI, VMS, MIRAX, SCN, BIF, Philips, Zeiss and DICOM.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import openslide

from wsipipe.geometry import Region
from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.base import Facts, Pixels, open_error, tile_error, whole
from wsipipe.tiling.readers.vendor_tiff import tags_of

_BLOCK_PX = 512


class OpenSlideReader:
    """Reader that reopens OpenSlide after each error.

    After one bad tile, all later reads on an OpenSlide handle fail, so a handle that has failed is discarded.

    Args:
        path: Path of the slide.
        member: File that OpenSlide opens; differs from ``path`` for a folder of DICOM files.

    Raises:
        SlideError: OpenSlide cannot open the file, or would show wrong pixels.
    """

    def __init__(self, path: Path, member: Path | None = None) -> None:
        self._path = path
        self._member = member or path
        self._handle: openslide.OpenSlide | None = None
        facts, tags = _facts(self._opened()), tags_of(self._member)
        clues = replace(facts.clues, tiff=tags.clues.tiff, tiff_tags=tags.clues.tiff_tags)
        self.facts = replace(facts, clues=clues, orientation=tags.orientation)

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """Read RGB and alpha of a region; see :class:`base.Reader`."""
        try:
            return self._read(level, region)
        except openslide.OpenSlideError:
            self.close()
        try:
            return self._read(level, region)
        except openslide.OpenSlideError as error:
            self.close()
            raise tile_error(self._path, level, region, error) from error

    def close(self) -> None:
        """Close the handle; the next read opens another."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _opened(self) -> openslide.OpenSlide:
        if self._handle is None:
            try:
                self._handle = openslide.OpenSlide(str(self._member))
            except (openslide.OpenSlideError, OSError) as error:
                remedy = "copy it again from its source, with every file that belongs to it, or leave it out"
                raise open_error(self._path, error, remedy) from error
        return self._handle

    def _read(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        handle = self._opened()
        if handle.level_downsamples[level].is_integer():
            rgba = _read_from(handle, level, region)
        else:
            rgba = _read_by_blocks(handle, level, region)
        alpha = rgba[..., 3]
        return rgba[..., :3], None if alpha.min(initial=255) == 255 else alpha


def label_images(path: Path) -> dict[str, Pixels]:
    """Read the label and macro images of a slide.

    Images are RGB (H, W, 3) uint8, by name ``label`` and ``macro``, if the file holds them.
    """
    if openslide.OpenSlide.detect_format(str(path)) is None:
        return {}
    with openslide.OpenSlide(str(path)) as handle:
        found = handle.associated_images
        return {name: np.asarray(found[name].convert("RGB")) for name in ("label", "macro") if name in found}


def _read_from(handle: openslide.OpenSlide, level: int, region: Region) -> Pixels:
    """Read RGBA of a region in one call.

    Pixels are (H, W, 4) uint8.
    """
    downsample = handle.level_downsamples[level]
    corner = (round(region.x * downsample), round(region.y * downsample))
    return np.asarray(handle.read_region(corner, level, (region.width, region.height)))


def _read_by_blocks(handle: openslide.OpenSlide, level: int, region: Region) -> Pixels:
    """Read RGBA of a region by fixed blocks.

    Pixels are (H, W, 4) uint8. OpenSlide takes corners in whole level-0 px. If a corner falls between two px
    of the level, OpenSlide blends them by an amount that depends on the corner. With fixed corners, pixels
    do not depend on the region.
    """
    rgba = np.empty((*region.shape, 4), np.uint8)
    for block in region.aligned(_BLOCK_PX).blocks(_BLOCK_PX):
        part = block.intersection(region)
        from_corner = Region(block.y, block.x, part.end_y - block.y, part.end_x - block.x)
        pixels = _read_from(handle, level, from_corner)
        rgba[part.relative_to(region).slices] = pixels[part.relative_to(block).slices]
    return rgba


def _facts(handle: openslide.OpenSlide) -> Facts:
    shapes = tuple((height, width) for width, height in handle.level_dimensions)
    vendor = handle.properties[openslide.PROPERTY_NAME_VENDOR]
    bounds = _bounds(handle, shapes[0])
    return Facts(vendor=vendor, shapes=shapes, bounds=bounds, clues=_clues(handle, vendor))


def _bounds(handle: openslide.OpenSlide, shape: tuple[int, int]) -> Region:
    names = ("bounds-y", "bounds-x", "bounds-height", "bounds-width")
    found = [handle.properties.get(f"openslide.{name}") for name in names]
    numbers = [int(value) for value in found if value is not None]
    bounds = Region(*numbers).clipped(shape) if len(numbers) == 4 else whole(shape)
    return bounds if bounds.area_px else whole(shape)


def _clues(handle: openslide.OpenSlide, vendor: str) -> MppClues:
    y, x = (_number(handle, f"openslide.mpp-{axis}") for axis in "yx")
    stated = None if y is None or x is None else (y, x)
    objective = _number(handle, openslide.PROPERTY_NAME_OBJECTIVE_POWER)
    if vendor == "generic-tiff":  # here the value of OpenSlide is the TIFF resolution, not a measurement
        return MppClues(tiff=stated, objective=objective)
    return MppClues(vendor=stated, objective=objective)


def _number(handle: openslide.OpenSlide, name: str) -> float | None:
    text = handle.properties.get(name)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return math.nan
