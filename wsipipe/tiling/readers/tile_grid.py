"""Tiles of one level of a TIFF: places in the file, and how they are decoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import imagecodecs
import numpy as np
from tifffile import TiffPage

from wsipipe.geometry import Region
from wsipipe.tiling.readers.base import Pixels
from wsipipe.tiling.readers.jpeg_stream import Verdict, verdict_on

Decoder = Callable[[bytes, Pixels], Pixels]

_JPEG, _JPEG_2000_RGB = 7, 33005
_COLOURS = {2: "RGB", 6: "YCBCR"}


class UndecidedError(ValueError):
    """The data of a tile are damaged, or of a kind that is left to OpenSlide."""


@dataclass(frozen=True)
class TileGrid:
    """One level of tiles that lie in rows, without gaps or overlaps.

    Attributes:
        offsets: Of each tile, row by row: bytes from the start of the file.
        sizes: Of each tile: bytes; 0 where the tile is missing.
        tile: (height, width) of a tile in px.
        across: Tiles in a row.
        decode: Decodes the bytes of a whole tile into an array (H, W, 3) uint8, and returns it.
    """

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    tile: tuple[int, int]
    across: int
    decode: Decoder

    def region_of(self, index: int) -> Region:
        """Return the px of the level that a tile covers; the last ones reach beyond it."""
        row, column = divmod(index, self.across)
        height, width = self.tile
        return Region(row * height, column * width, height, width)

    def tiles_of(self, region: Region) -> Iterator[int]:
        """Yield the tiles that a region meets, row by row."""
        height, width = self.tile
        for row in range(region.y // height, -(-region.end_y // height)):
            for column in range(region.x // width, -(-region.end_x // width)):
                yield row * self.across + column


def grid_of(page: TiffPage) -> TileGrid | None:
    """Return the tiles of a page; None if these are not decoded here."""
    decode = _decoder(page)
    if decode is None:
        return None
    tile = int(page.tilelength), int(page.tilewidth)
    across, down = -(-page.imagewidth // tile[1]), -(-page.imagelength // tile[0])
    offsets, sizes = tuple(page.dataoffsets), tuple(page.databytecounts)
    if len(offsets) != across * down or len(sizes) != across * down:
        return None
    return TileGrid(offsets, sizes, tile, across, decode)


def _decoder(page: TiffPage) -> Decoder | None:
    plain = page.is_tiled and int(page.planarconfig) == 1 and page.samplesperpixel == 3
    if not plain or page.dtype != np.uint8 or page.imagedepth != 1 or page.tiledepth != 1:
        return None
    compression, colours = int(page.compression), _COLOURS.get(int(page.photometric))
    # Both decoders refuse data of another shape than that of the array.
    if compression == _JPEG and colours:
        return partial(_jpeg, page.jpegtables, colours)
    # OpenSlide shows the three components as they are, whatever the tag says of their colours.
    return _jpeg_2000 if compression == _JPEG_2000_RGB else None


def _jpeg(tables: bytes | None, colours: str, data: bytes, out: Pixels) -> Pixels:
    """Decode a JPEG as libjpeg does by default, its colours as the TIFF states them."""
    verdict = verdict_on(data, tables)
    if verdict != Verdict.SOUND:
        raise UndecidedError(Verdict(verdict).name)
    return imagecodecs.jpeg8_decode(data, tables=tables, colorspace=colours, outcolorspace="RGB", out=out)


def _jpeg_2000(data: bytes, out: Pixels) -> Pixels:
    return imagecodecs.jpeg2k_decode(data, out=out)
