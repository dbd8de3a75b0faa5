"""Read tiles of a slide with each reader.

Each pass opens the slide again, so that its cache holds nothing of the pass before. wsipipe decodes in
threads of its own; the others read several tiles at a time in threads that share a handle. Tiles at a
coarser scale come from the next finer level, by Pillow's means unless the library has a function of its own.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from peer_parts.clock import Clock

Pixels = npt.NDArray[np.uint8]
Read = Callable[[list[int]], Pixels]
Request = dict[str, Any]
Opened = Callable[[Request], AbstractContextManager[Read]]

SIDE_PX = 512
CHECKED = 16


def measure(request: Request, opened: Opened, threads: int) -> dict[str, Any]:
    """Read all tiles in several passes; return seconds a pass and the mean grey level.

    Args:
        request: ``slide``, ``factor`` (level-0 px per px), ``tiles`` ((y, x) of corners in px), ``passes``.
        opened: Function that opens the slide and yields a function that reads a tile, (512, 512, 3) uint8.
        threads: Number of tiles read at a time.
    """
    tiles = request["tiles"]
    with opened(request) as read:
        read(tiles[0])  # imports are not timed
    clock = Clock()
    for _ in range(request["passes"]):
        with opened(request) as read, ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(tiles), 64):  # a long queue would keep all tiles in memory
                list(pool.map(lambda tile: read(tile) is None, tiles[start : start + 64]))
    spent = clock.spent(request["passes"])
    with opened(request) as read:
        chosen = [read(tile)[..., :3] for tile in tiles[:: max(1, len(tiles) // CHECKED)]]
    wrong = {pixels.shape for pixels in chosen} - {(SIDE_PX, SIDE_PX, 3)}
    if wrong:
        raise ValueError(f"tiles of {wrong} instead of {SIDE_PX} px")
    return spent | {"facts": {"mean grey level": float(np.mean(chosen))}}


def compose(request: Request) -> dict[str, Any]:
    """Write a synthetic slide with ``side`` px."""
    from wsipipe.synth.writer import make_slide

    make_slide(Path(request["slide"]), request["side"], seed=1, mpp=0.25, truth=False)
    return {}


def facts(request: Request) -> dict[str, Any]:
    """Return size and resolution of a slide."""
    from wsipipe.tiling.slide import open_slide

    with open_slide(request["slide"]) as slide:
        height, width = slide.levels[0].shape
        return {"facts": {"height": height, "width": width, "mpp": slide.mpp}}


def by_wsipipe(request: Request) -> dict[str, Any]:
    """Read by wsipipe, one tile after another."""
    return measure(request, wsipipe_reader, 1)


def by_openslide(request: Request) -> dict[str, Any]:
    """Read by openslide-python."""
    return measure(request, openslide_reader, request["threads"])


def by_segments(request: Request) -> dict[str, Any]:
    """Find compressed tiles by tifffile and decode them by imagecodecs."""
    return measure(request, segments_reader, request["threads"])


def by_fastslide(request: Request) -> dict[str, Any]:
    """Read by fastslide, with a cache of 64 MB."""
    return measure(request, fastslide_reader, request["threads"])


def by_tiffslide(request: Request) -> dict[str, Any]:
    """Read by tiffslide."""
    return measure(request, tiffslide_reader, request["threads"])


def by_pyvips(request: Request) -> dict[str, Any]:
    """Read by pyvips, which shrinks by itself."""
    return measure(request, pyvips_reader, request["threads"])


def by_tiatoolbox(request: Request) -> dict[str, Any]:
    """Read by TIAToolbox's WSIReader."""
    return measure(request, tiatoolbox_reader, request["threads"])


def decoding_alone(request: Request) -> dict[str, Any]:
    """Decode each compressed tile once, in threads, and drop it: the floor without means."""
    from reading import THREADS, compressed_tiles, decode

    page, data = compressed_tiles(Path(request["slide"]))
    across = -(-page.imagewidth // page.tilewidth)
    end = [(max(tile[axis] for tile in request["tiles"]) + SIDE_PX) * request["factor"] for axis in (0, 1)]
    met = [
        each
        for index, each in enumerate(data)
        if index // across * page.tilelength < end[0] and index % across * page.tilewidth < end[1]
    ]

    def decode_some(first: int) -> None:
        for each in met[first::THREADS]:
            decode(each, page)

    decode(met[0], page)  # imagecodecs imports a codec with its first tile
    clock = Clock()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(request["passes"]):
            list(pool.map(decode_some, range(THREADS)))
    return clock.spent(request["passes"])


def reduced(pixels: Pixels, factor: int) -> Pixels:
    """Return means of factor x factor px."""
    return pixels if factor == 1 else np.asarray(Image.fromarray(pixels).reduce(factor))


@contextmanager
def wsipipe_reader(request: Request) -> Iterator[Read]:
    """Yield a function that reads by wsipipe."""
    from wsipipe.geometry import Region
    from wsipipe.tiling.slide import open_slide

    with open_slide(request["slide"]) as slide:
        mpp = slide.mpp * request["factor"]
        yield lambda tile: slide.read(Region(*tile, SIDE_PX, SIDE_PX), mpp)


@contextmanager
def openslide_reader(request: Request) -> Iterator[Read]:
    """Yield a function that reads by openslide-python."""
    import openslide

    factor = request["factor"]
    with openslide.OpenSlide(request["slide"]) as handle:
        level = handle.get_best_level_for_downsample(factor)
        left = round(factor / handle.level_downsamples[level])

        def read(tile: list[int]) -> Pixels:
            y, x = (factor * value for value in tile)
            pixels = handle.read_region((x, y), level, (SIDE_PX * left,) * 2).convert("RGB")
            return np.asarray(pixels.reduce(left) if left > 1 else pixels)

        yield read


@contextmanager
def segments_reader(request: Request) -> Iterator[Read]:
    """Yield a function that decodes the tiles of the file by imagecodecs."""
    import tiling

    from wsipipe.geometry import Region

    factor = request["factor"]
    with tiling.segments_reader(Path(request["slide"])) as (_, read):
        yield lambda tile: reduced(read(Region(*tile, SIDE_PX, SIDE_PX).scaled(factor)), factor)


@contextmanager
def fastslide_reader(request: Request) -> Iterator[Read]:
    """Yield a function that reads by fastslide."""
    import fastslide

    factor = request["factor"]
    slide = fastslide.FastSlide.from_file_path(request["slide"], cache=1 << 26)

    def read(tile: list[int]) -> Pixels:
        y, x = (factor * value for value in tile)
        found = slide.read_region((x, y), 0, (SIDE_PX * factor,) * 2).numpy()
        return reduced(np.ascontiguousarray(found[..., :3]), factor)

    yield read
    slide.close()


@contextmanager
def tiffslide_reader(request: Request) -> Iterator[Read]:
    """Yield a function that reads by tiffslide."""
    import tiffslide

    factor = request["factor"]
    with tiffslide.TiffSlide(request["slide"]) as handle:

        def read(tile: list[int]) -> Pixels:
            y, x = (factor * value for value in tile)
            return reduced(handle.read_region((x, y), 0, (SIDE_PX * factor,) * 2, as_array=True), factor)

        yield read


@contextmanager
def pyvips_reader(request: Request) -> Iterator[Read]:
    """Yield a function that reads by pyvips."""
    os.environ["VIPS_CONCURRENCY"] = "1"  # tiles are read in threads already
    import pyvips

    factor, wide = request["factor"], SIDE_PX * request["factor"]
    image = pyvips.Image.tiffload(request["slide"], page=0)

    def read(tile: list[int]) -> Pixels:
        y, x = (factor * value for value in tile)
        part = image.crop(x, y, wide, wide)
        return np.asarray((part.shrink(factor, factor) if factor > 1 else part).numpy())

    yield read


@contextmanager
def tiatoolbox_reader(request: Request) -> Iterator[Read]:
    """Yield a function that reads by TIAToolbox."""
    from tiatoolbox.wsicore.wsireader import WSIReader

    factor = request["factor"]
    reader = WSIReader.open(request["slide"])

    def read(tile: list[int]) -> Pixels:
        y, x = (factor * value for value in tile)
        return reader.read_rect((x, y), (SIDE_PX, SIDE_PX), resolution=1 / factor, units="baseline")

    yield read
