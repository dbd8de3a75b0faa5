"""Tiles of one level of a TIFF: places in the file, and how they are decoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

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
        offsets: Bytes from the start of the file to each tile, row by row.
        sizes: Bytes of each tile; 0 where the tile is missing.
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


class Piece(NamedTuple):
    """The part of a tile that lies in a region.

    Attributes:
        number: Number of the tile, row by row.
        into: Where it lies in an array of the region.
        part: Where it lies in the tile.
        px: Its pixels.
        unused_px: Pixels of the tile that lie in the level but not in the region.
    """

    number: int
    into: tuple[slice, slice]
    part: tuple[slice, slice]
    px: int
    unused_px: int


def pieces_of(grid: TileGrid, region: Region, shape: tuple[int, int]) -> Iterator[Piece]:
    """Yield the parts of all tiles that a region meets, row by row.

    Args:
        grid: The tiles.
        region: Region in px of the level, inside it.
        shape: (height, width) of the level.
    """
    columns = _spans(region.x, region.end_x, grid.tile[1], shape[1])
    for row, into_y, part_y, height, whole_height in _spans(region.y, region.end_y, grid.tile[0], shape[0]):
        for column, into_x, part_x, width, whole_width in columns:
            px = height * width
            unused_px = whole_height * whole_width - px
            yield Piece(row * grid.across + column, (into_y, into_x), (part_y, part_x), px, unused_px)


def _spans(start: int, end: int, side: int, limit: int) -> list[tuple[int, slice, slice, int, int]]:
    """Return the tiles that a range meets along one axis.

    Each has its number, its place in the range, the part of the tile, and the lengths of that part and of the
    tile inside the level.
    """
    spans = []
    for number in range(start // side, -(-end // side)):
        first, last = max(number * side, start), min((number + 1) * side, end)
        part = slice(first - number * side, last - number * side)
        whole = min((number + 1) * side, limit) - number * side
        spans.append((number, slice(first - start, last - start), part, last - first, whole))
    return spans


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
