"""Take the storing of a slide apart: what does each part of a shard cost?

    python benchmarks/tiling_parts.py [--side 8192] [--slide SLIDE.svs]

Composes a JPEG slide, does the parts of every shard of level 0 one after another on one thread, and prints
the seconds of each, wall and CPU. Then compresses the middle of the slide with several levels of zstd.
"""

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Buffer, Callable
from functools import partial
from pathlib import Path

import numpy as np
from numcodecs.zstd import Zstd

from wsipipe.common.atomic_files import sync_file
from wsipipe.geometry import Region
from wsipipe.stages.pyramid import means_of_four
from wsipipe.store.arrays import ArraySpec, array_path, create_array, open_array
from wsipipe.store.shard_format import format_of
from wsipipe.synth.writer import make_slide
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.slide import open_slide

SHARD_PX, CHUNK_PX = 2048, 512
ZSTD_LEVELS = (-5, -1, 1, 2, 3, 5, 9)


def main() -> None:
    """Compose or take a slide, time each part, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--slide", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.slide or Path(folder) / "slide.svs"
        if not asked.slide:
            make_slide(path, asked.side, seed=1, truth=False)
        take_apart(path, Path(folder))
        compare_levels(path)


class Clock:
    """Seconds of each part, wall and CPU."""

    def __init__(self) -> None:
        self.spent: dict[str, tuple[float, float]] = {}

    def measure[Result](self, part: str, work: Callable[[], Result]) -> Result:
        """Return the result of some work and add its time to a part."""
        cpu, start = time.process_time(), time.perf_counter()
        result = work()
        before = self.spent.get(part, (0.0, 0.0))
        self.spent[part] = (before[0] + time.perf_counter() - start, before[1] + time.process_time() - cpu)
        return result


def take_apart(path: Path, folder: Path) -> None:
    """Do each part of level 0 on one thread; print its seconds."""
    os.environ["OMP_NUM_THREADS"] = "1"
    clock, raw_bytes, size_bytes = Clock(), 0, 0
    with open_slide(path) as slide:
        canvas = Canvas(slide, slide.mpp)
        spec = ArraySpec("image/0", (3, *canvas.shape), "uint8", 255, SHARD_PX, CHUNK_PX)
        create_array(folder, spec)
        form = format_of(open_array(folder / array_path(spec.name)))
        for region in Region(0, 0, *canvas.shape).blocks(SHARD_PX):
            rgb = clock.measure("decode, resample", partial(canvas.read, region))
            planes = clock.measure("planes", partial(np.ascontiguousarray, np.moveaxis(rgb, 2, 0)))
            data = clock.measure("compress", partial(form.encode, planes))
            file = folder / "shard"
            clock.measure("write", partial(file.write_bytes, data))
            clock.measure("fsync", partial(sync_file, file))
            clock.measure("digest: file", partial(digest, data))
            clock.measure("digest: pixels", partial(digest, planes))
            clock.measure("read-back: decode, compare", partial(form.holds, data, planes))
            clock.measure("read-back: bytes", partial(equals, file, data))
            clock.measure("mean of 2 x 2", partial(means_of_four, planes))
            raw_bytes, size_bytes = raw_bytes + planes.nbytes, size_bytes + len(data)
    print(f"\nlevel 0 on one thread, {raw_bytes / 1e6:.0f} MB raw, {size_bytes / 1e6:.0f} MB written")
    print(f"{'part':<30}{'wall s':>8}{'CPU s':>8}")
    for part, (wall, cpu) in clock.spent.items():
        print(f"{part:<30}{wall:>8.2f}{cpu:>8.2f}")


def digest(data: Buffer) -> str:
    """Return the SHA-256 of some bytes or pixels."""
    return hashlib.sha256(data).hexdigest()


def equals(file: Path, data: bytes) -> bool:
    """Return whether a file has these bytes."""
    return file.read_bytes() == data


def compare_levels(path: Path) -> None:
    """Compress the middle of a slide with each level of zstd; print speed and size."""
    with open_slide(path) as slide:
        height, width = (min(SHARD_PX, side) // CHUNK_PX * CHUNK_PX for side in slide.bounds.shape)
        y, x = ((side - part) // 2 for side, part in zip(slide.bounds.shape, (height, width), strict=True))
        planes = np.moveaxis(slide.read(Region(y, x, height, width), slide.mpp), 2, 0)
    places = Region(0, 0, height, width).blocks(CHUNK_PX)
    chunks = [np.ascontiguousarray(planes[:, *place.slices]) for place in places]
    print(f"\n{'zstd level':<12}{'compress MB/s':>14}{'decompress MB/s':>17}{'size':>8}")
    for level in ZSTD_LEVELS:
        zstd, rates = Zstd(level=level, checksum=True), []
        for _ in range(3):
            start = time.process_time()
            packed = [zstd.encode(chunk) for chunk in chunks]
            middle = time.process_time()
            for data in packed:
                zstd.decode(data)
            rates.append((middle - start, time.process_time() - middle))
        speeds = (planes.nbytes / 1e6 / min(spent) for spent in zip(*rates, strict=True))
        print(
            "{:<12}{:>14.0f}{:>17.0f}{:>8.3f}".format(level, *speeds, sum(map(len, packed)) / planes.nbytes)
        )


if __name__ == "__main__":
    main()
