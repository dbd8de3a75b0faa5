"""Compare the reading of tiles with other readers.

    python benchmarks/reading.py [--side 8192] [--tile 240] [--rounds 5] [--slide SLIDE.svs]

Composes a JPEG slide that OpenSlide takes for Aperio's, then reads all its tiles of 512 px, row by row, at
the slide's own scale and at half of it. In each round every reader reads all tiles once, one reader after
another, so that other load falls on all alike. Prints medians: tiles a second, tiles a CPU second, and the
ratio of wsipipe to each within its round. ``floor`` only decodes, in threads, each compressed tile once; at
half scale it makes no means. fastslide takes part where it is installed.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
import openslide
import tifffile

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Region
from wsipipe.synth.slide import SyntheticSlide
from wsipipe.tiling.slide import open_slide

Pixels = npt.NDArray[np.uint8]
Pass = Callable[[list[Region]], None]

SIDE_PX, MPP = 512, 0.25
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
DESCRIPTION = "Aperio Image Library\n{side}x{side} ({tile}x{tile}) JPEG/RGB Q=90|AppMag = 40|MPP = 0.25"


def main() -> None:
    """Compose or take a slide, time every reader, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--tile", type=int, default=240, help="side of the slide's own tiles in px")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slide", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.slide or Path(folder) / "slide.svs"
        if not asked.slide:
            compose(path, asked.side, asked.tile)
        for factor in (1, 2):
            compare(path, factor, asked.rounds)


def compose(path: Path, side: int, tile: int) -> None:
    """Write a slide of one level, 40 % of it tissue, in JPEG tiles."""
    slide = SyntheticSlide(3, (side, side), MPP)
    pixels = np.empty((side, side, 3), np.uint8)
    for region in Region(0, 0, side, side).blocks(2048):
        pixels[region.slices] = slide.rgb(region)
    options = {"compression": "jpeg", "compressionargs": {"level": 90}, "subsampling": (2, 2)}
    text = DESCRIPTION.format(side=side, tile=tile)
    tifffile.imwrite(
        path, pixels, photometric="rgb", tile=(tile, tile), description=text, metadata=None, **options
    )


def compare(path: Path, factor: int, rounds: int) -> None:
    """Time all readers at one scale; print a table."""
    with openslide.OpenSlide(path) as handle:
        width, height = handle.dimensions
    inside = Region(0, 0, height // factor // SIDE_PX * SIDE_PX, width // factor // SIDE_PX * SIDE_PX)
    regions = list(inside.blocks(SIDE_PX))
    readers = dict(passes(path, factor))
    walls: dict[str, list[float]] = {name: [] for name in readers}
    shares: dict[str, list[float]] = {name: [] for name in readers}
    for name, read_all in [*readers.items()] * (rounds + 1):
        cpu, start = time.process_time(), time.perf_counter()
        read_all(regions)
        walls[name].append(time.perf_counter() - start)
        shares[name].append(time.process_time() - cpu)
    print(f"\n{len(regions)} tiles of {SIDE_PX} px at {MPP * factor} um/px, {THREADS} threads, {path.name}")
    print(f"{'reader':<24}{'tiles/s':>9}{'tiles/CPU s':>13}{'wsipipe: wall':>15}{'CPU':>7}")
    for name in readers:
        wall, cpu = walls[name][1:], shares[name][1:]  # the first round fills the page cache
        ratios = [
            statistics.median(other / own for own, other in zip(mine[1:], its, strict=True))
            for mine, its in ((walls["wsipipe"], wall), (shares["wsipipe"], cpu))
        ]
        rates = (len(regions) / statistics.median(seconds) for seconds in (wall, cpu))
        print("{:<24}{:>9.0f}{:>13.0f}{:>15.2f}{:>7.2f}".format(name, *rates, *ratios), flush=True)


def passes(path: Path, factor: int) -> Iterator[tuple[str, Pass]]:
    """Yield each reader's name and a function that reads all regions."""
    yield "wsipipe", partial(read_by_wsipipe, path, factor)
    yield "openslide", partial(read_by_openslide, path, factor)
    yield "segments + imagecodecs", partial(read_by_segments, path, factor)
    try:
        import fastslide
    except ImportError:
        print("fastslide is not installed and takes no part")
    else:
        yield "fastslide", partial(read_by_fastslide, fastslide, path, factor)
    yield "floor: decoding alone", partial(decode_all, compressed_tiles(path))


def read_by_wsipipe(path: Path, factor: int, regions: list[Region]) -> None:
    """Read one region after another; wsipipe decodes in threads."""
    with open_slide(path, MPP) as slide:
        for region in regions:
            slide.read(region, MPP * factor)


def read_by_openslide(path: Path, factor: int, regions: list[Region]) -> None:
    """Read regions in threads that share a handle; means by Pillow."""
    with openslide.OpenSlide(path) as handle, ThreadPoolExecutor(THREADS) as pool:

        def read(region: Region) -> None:
            size = (region.width * factor, region.height * factor)
            pixels = handle.read_region((region.x * factor, region.y * factor), 0, size).convert("RGB")
            np.asarray(pixels.reduce(factor) if factor > 1 else pixels)

        list(pool.map(read, regions))


def read_by_segments(path: Path, factor: int, regions: list[Region]) -> None:
    """Decode the tiles that each region meets in threads, and copy them together."""
    with tifffile.TiffFile(path) as tiff, path.open("rb") as file, ThreadPoolExecutor(THREADS) as pool:
        page = tiff.pages[0]
        side, across = page.tilewidth, -(-page.imagewidth // page.tilewidth)

        def place(index: int, region: Region, into: Pixels) -> None:
            row, column = divmod(index, across)
            data = os.pread(file.fileno(), page.databytecounts[index], page.dataoffsets[index])
            tile = Region(row * side, column * side, side, side)
            part = tile.intersection(region)
            decoded = decode(data, page)
            into[part.relative_to(region).slices] = decoded[part.relative_to(tile).slices]

        for region in regions:
            whole = region.scaled(factor)
            into = np.empty((*whole.shape, 3), np.uint8)
            tiles = whole.scaled(1, side)
            indices = [
                y * across + x for y in range(tiles.y, tiles.end_y) for x in range(tiles.x, tiles.end_x)
            ]
            list(pool.map(partial(place, region=whole, into=into), indices))
            if factor > 1:
                block_mean(into, factor)


def read_by_fastslide(fastslide: object, path: Path, factor: int, regions: list[Region]) -> None:
    """Read regions in threads that share a handle with a cache; means by NumPy."""
    slide = fastslide.FastSlide.from_file_path(path, cache=1 << 26)  # type: ignore[attr-defined]
    with ThreadPoolExecutor(THREADS) as pool:

        def read(region: Region) -> None:
            size = (region.width * factor, region.height * factor)
            pixels = np.asarray(slide.read_region((region.x * factor, region.y * factor), 0, size).numpy())
            if factor > 1:
                block_mean(pixels[..., :3], factor)

        list(pool.map(read, regions))
    slide.close()


def decode(data: bytes, page: tifffile.TiffPage) -> Pixels:
    """Decode one JPEG tile."""
    colours = "YCBCR" if int(page.photometric) == 6 else "RGB"
    return imagecodecs.jpeg8_decode(data, tables=page.jpegtables, colorspace=colours, outcolorspace="RGB")


def compressed_tiles(path: Path) -> tuple[tifffile.TiffPage, list[bytes]]:
    """Return the first level and the compressed bytes of its tiles."""
    with tifffile.TiffFile(path) as tiff, path.open("rb") as file:
        page = tiff.pages[0]
        places = zip(page.dataoffsets, page.databytecounts, strict=True)
        return page, [os.pread(file.fileno(), size, offset) for offset, size in places]


def decode_all(tiles: tuple[tifffile.TiffPage, list[bytes]], regions: list[Region]) -> None:
    """Decode every tile once, and drop it."""
    page, data = tiles

    def each(first: int) -> None:
        for one in data[first::THREADS]:
            decode(one, page)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(each, range(THREADS)))


if __name__ == "__main__":
    main()
