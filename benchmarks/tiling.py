"""Compare the conversion of a slide to an OME-Zarr pyramid with a hand loop.

    python benchmarks/tiling.py [--side 8192] [--rounds 3] [--slide SLIDE.svs]

Composes a JPEG slide, then converts it at its own scale, wsipipe and the hand loops by turns. wsipipe runs
the whole workflow ``tiling_only`` on two worker processes that have started: tissue, shards synced, read back
and digested, pyramid, metadata, manifest. The hand loops read in two threads, by OpenSlide or by imagecodecs,
and write shards by zarr without sync or digest. Prints medians of seconds, wall and CPU, ratios within a
round, and the least CPU seconds, which other load on the machine changes least. ``tiling_parts.py`` takes
wsipipe's path apart.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openslide
import tifffile
import zarr
from distributed import Client
from reading import decode
from zarr.codecs import ZstdCodec

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Region
from wsipipe.pipeline.cluster.client import connect
from wsipipe.pipeline.cluster.task_pool import TaskPool
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.slide_facts import inspect_slide
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.stages.grid import lattice_px
from wsipipe.stages.pyramid import level_count
from wsipipe.stages.workflow import load_workflow
from wsipipe.synth.writer import make_slide
from wsipipe.tiling.collect import collect
from wsipipe.tiling.slide import open_slide

Pixels = npt.NDArray[np.uint8]
ReadRegion = Callable[[Region], Pixels]

WORKERS = 2
SHARD_PX, CHUNK_PX = 2048, 512


def main() -> None:
    """Compose or take a slide, time every conversion, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slide", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.slide or Path(folder) / "slide.svs"
        if not asked.slide:
            make_slide(path, asked.side, seed=1, truth=False)
        compare(path, Path(folder), asked.rounds)


def compare(path: Path, folder: Path, rounds: int) -> None:
    """Time all conversions of one slide; print a table."""
    with ExitStack() as held:
        client = held.enter_context(connect(workers=WORKERS))
        convert = {
            "wsipipe": partial(by_wsipipe, client, plan_of(path), folder),
            "hand loop, OpenSlide": partial(by_hand, held.enter_context(openslide_reader(path))),
            "hand loop, imagecodecs": partial(by_hand, held.enter_context(segments_reader(path))),
        }
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in convert}
        for turn in range(rounds + 1):  # the first round imports, and fills the page cache
            for name, work in convert.items():
                out = folder / f"{turn}-{name}"
                before, start = cpu_seconds(client), time.perf_counter()
                work(out)
                seconds[name].append((time.perf_counter() - start, cpu_seconds(client) - before))
                size_mb = sum(each.stat().st_size for each in out.rglob("*") if each.is_file()) / 1e6
                print(f"  {name}: {seconds[name][-1][0]:.2f} s, {size_mb:.0f} MB", flush=True)
                shutil.rmtree(out)
    print(f"\n{path.name} to an OME-Zarr pyramid, {WORKERS} workers or threads")
    print(
        f"{'conversion':<26}{'wall s':>8}{'CPU s':>8}{'least':>8}{'wsipipe: wall':>15}{'CPU':>7}{'least':>8}"
    )
    least = {name: min(cpu for _, cpu in spent[1:]) for name, spent in seconds.items()}
    for name, spent in seconds.items():
        medians = [statistics.median(each) for each in zip(*spent[1:], strict=True)]
        pairs = list(zip(spent[1:], seconds["wsipipe"][1:], strict=True))
        ratios = [statistics.median(its[i] / own[i] for its, own in pairs) for i in (0, 1)]
        ratios.append(least[name] / least["wsipipe"])
        numbers = (*medians, least[name], *ratios)
        print("{:<26}{:>8.2f}{:>8.2f}{:>8.2f}{:>15.2f}{:>7.2f}{:>8.2f}".format(name, *numbers))


def cpu_seconds(client: Client) -> float:
    """Return the CPU seconds of this process and of the workers so far."""
    return time.process_time() + sum(client.run(time.process_time).values())


def plan_of(path: Path) -> Plan:
    """Plan the workflow ``tiling_only`` at the slide's own scale."""
    with open_slide(path) as slide:
        workflow = load_workflow("tiling_only", [f"tile.mpp={slide.mpp}"])
    (given,) = collect([path])
    facts = inspect_slide(given, workflow.tile.mpp, lattice_px(workflow.tile.mpp, {}), "cpu").facts
    return Plan(given, facts, workflow, {})


def by_wsipipe(client: Client, plan: Plan, folder: Path, out: Path) -> None:
    """Run the workflow and publish its result."""
    markers = folder / "markers"
    markers.mkdir(exist_ok=True)
    stages = run_slide(TaskPool(client, markers), plan, out, Device())
    print("  " + ", ".join(f"{name} {spent:.2f}" for name, spent in stages.items()))


def by_hand(reader: tuple[tuple[int, int], ReadRegion], out: Path) -> None:
    """Write a sharded pyramid in two threads: each level from the one before."""
    shape, read = reader
    with ThreadPoolExecutor(WORKERS) as pool:
        for level in range(level_count(shape)):
            down = 1 << level
            array = zarr.create_array(
                out / str(level),
                shape=(3, -(-shape[0] // down), -(-shape[1] // down)),
                dtype="uint8",
                chunks=(3, CHUNK_PX, CHUNK_PX),
                shards=(3, SHARD_PX, SHARD_PX),
                compressors=[ZstdCodec()],
            )
            regions = Region(0, 0, *array.shape[1:]).blocks(SHARD_PX)
            list(pool.map(partial(store, array, read), regions))
            read = partial(coarser, array)


def store(array: zarr.Array, read: ReadRegion, region: Region) -> None:
    """Write one shard."""
    array[:, *region.slices] = np.moveaxis(read(region), 2, 0)


def coarser(array: zarr.Array, region: Region) -> Pixels:
    """Return means of 2 x 2 px of a level, (H, W, 3) uint8."""
    pixels = np.asarray(array[:, *region.scaled(2).slices])
    return block_mean(np.ascontiguousarray(np.moveaxis(pixels, 0, 2)))


@contextmanager
def openslide_reader(path: Path) -> Iterator[tuple[tuple[int, int], ReadRegion]]:
    """Yield the shape and a function that reads by OpenSlide."""
    with openslide.OpenSlide(path) as handle:

        def read(region: Region) -> Pixels:
            size = (region.width, region.height)
            return np.asarray(handle.read_region((region.x, region.y), 0, size).convert("RGB"))

        yield handle.dimensions[::-1], read


@contextmanager
def segments_reader(path: Path) -> Iterator[tuple[tuple[int, int], ReadRegion]]:
    """Yield the shape and a function that decodes tiles by imagecodecs."""
    with tifffile.TiffFile(path) as tiff, path.open("rb") as file:
        page = tiff.pages[0]
        side, across = page.tilewidth, -(-page.imagewidth // page.tilewidth)

        def read(region: Region) -> Pixels:
            into = np.empty((*region.shape, 3), np.uint8)
            for place in region.scaled(1, side).blocks(1):
                index = place.y * across + place.x
                data = os.pread(file.fileno(), page.databytecounts[index], page.dataoffsets[index])
                tile = place.scaled(side)
                part = tile.intersection(region)
                into[part.relative_to(region).slices] = decode(data, page)[part.relative_to(tile).slices]
            return into

        yield (page.imagelength, page.imagewidth), read


if __name__ == "__main__":
    main()
