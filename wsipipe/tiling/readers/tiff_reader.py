"""OME-TIFF and plain TIFF, tiled or in strips, with or without a pyramid, through tifffile."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from wsipipe.errors import SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.mpp import MppClues, mpp_from_resolution
from wsipipe.tiling.readers.base import Facts, Pixels, open_error, tile_error, whole
from wsipipe.tiling.readers.ome import clues_of_xml
from wsipipe.tiling.readers.tiff_segments import SegmentedPage

_LARGEST_SEGMENT_PX = 1 << 26
_REMEDY = "save it again as a tiled RGB TIFF of 8 bits"
_LAYOUTS = ((1, 1), (1, 3), (1, 4), (3, 1))  # pages x samples a page: grey, RGB, RGBA, one page a colour


def is_tiff(head: bytes) -> bool:
    """Whether the first 16 bytes are those of a TIFF or BigTIFF file."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_ome_tiff(path: Path) -> bool:
    """Whether a TIFF file carries OME-XML."""
    try:
        with tifffile.TiffFile(path) as tiff:
            return bool(tiff.is_ome)
    except Exception:  # damaged files raise anything; the reader that opens it says what is wrong
        return False


class TiffReader:
    """A TIFF whose tiles or strips are decoded as they are asked for.

    Raises:
        SlideError: The file does not open, or is not RGB or grey of 8 bits.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._tiff = tifffile.TiffFile(path)
        except Exception as error:  # damaged files raise anything
            raise open_error(path, error, "copy it again from its source, or leave it out") from error
        try:
            self._levels, self.facts = self._described()
        except SlideError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise open_error(path, error, "copy it again from its source, or leave it out") from error

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """RGB (H, W, 3) uint8 and alpha (H, W) uint8; see ``base.Reader``."""
        try:
            parts = [page.read(region) for page in self._levels[level]]
        except Exception as error:  # decoders raise anything
            raise tile_error(self._path, level, region, error) from error
        pixels = np.concatenate([part for part, _ in parts], axis=2)
        present = np.minimum.reduce([there for _, there in parts])
        if pixels.shape[2] == 4:
            pixels, present = pixels[..., :3], np.minimum(present, pixels[..., 3])
        elif pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        return pixels, None if present.min(initial=255) == 255 else present

    def close(self) -> None:
        """Let go of the file."""
        self._tiff.close()

    def _described(self) -> tuple[list[list[SegmentedPage]], Facts]:
        if not self._tiff.series:
            raise ValueError("it names no image; it was probably cut short")
        series = max(self._tiff.series, key=lambda s: _plane(s)[0] * _plane(s)[1])
        for level in series.levels:
            self._check(level)
        file = self._tiff.filehandle
        levels = [[SegmentedPage(file, page) for page in level.pages] for level in series.levels]
        shapes = tuple(_plane(level) for level in series.levels)
        vendor = "ome-tiff" if self._tiff.is_ome else "tiff"
        return levels, Facts(vendor=vendor, shapes=shapes, bounds=whole(shapes[0]), clues=self._clues(series))

    def _check(self, level: Any) -> None:
        """Refuse what is not RGB, RGBA or grey of 8 bits."""
        page = level.keyframe
        layout = (len(level.pages), page.samplesperpixel)
        if page.dtype != np.uint8 or layout not in _LAYOUTS or not _is_plain_colour(page):
            found = (
                f"{layout[0]} x {layout[1]} channels of {page.dtype}, {page.photometric!r}, axes {level.axes}"
            )
            raise open_error(self._path, f"RGB of 8 bits is needed, but it holds {found}", _REMEDY)
        height, width = page.chunks[:2]
        if not page.is_memmappable and height * width > _LARGEST_SEGMENT_PX:
            found = f"one compressed strip of it holds {height} x {width} px, which cannot be read in parts"
            raise open_error(self._path, found, _REMEDY)

    def _clues(self, series: Any) -> MppClues:
        text = self._tiff.ome_metadata if self._tiff.is_ome else None
        said = clues_of_xml(text, _plane(series)) if text else MppClues()
        return MppClues(vendor=said.vendor, tiff=_resolution(series.keyframe), objective=said.objective)


def _is_plain_colour(page: Any) -> bool:
    """Grey (inverted or not) or RGB; YCbCr only as JPEG, whose decoder makes RGB of it."""
    photometric = int(page.photometric)
    return photometric in (0, 1, 2) or (photometric == 6 and int(page.compression) == 7)


def _plane(series: Any) -> tuple[int, int]:
    """(height, width) of a series."""
    return series.keyframe.imagelength, series.keyframe.imagewidth


def _resolution(page: Any) -> tuple[float, float] | None:
    """(y, x) um per px from the resolution tags."""
    found = [page.tags.valueof(code) for code in (282, 283, 296)]
    if None in found[:2]:
        return None
    x, y = (numerator / denominator if denominator else 0.0 for numerator, denominator in found[:2])
    return mpp_from_resolution(y, x, int(found[2] or 2))
