"""Grow the seeds of a shard to nuclei.

All seeds grow at once inside the foreground, in 4-neighbour steps. The nucleus of a pixel after k steps
depends on pixels at most k steps away, so a halo of as many pixels as steps makes the core exact.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from wsipipe.geometry import Array, Region
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.nuclei.compiled_instances import grown, looked_up, summed_grown
from wsipipe.stages.nuclei.join import grow_tables
from wsipipe.stages.nuclei.number import NUMBERED, merge_instances
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.seeds import NUCLEUS_MAP, SEEDS
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.store.tables import Table

GROWN = "scratch/grown"


def grow_stage(params: InstanceParams, grid: CanvasGrid, downsample: int, shard_px: int) -> Stage:
    """Declare the stage that grows the seeds in each shard.

    The reduce step drops nuclei that are too small or too large, and numbers the others.
    """
    mpp = grid.mpp * downsample
    halo = params.grow_px(mpp)
    reads = (Read(SEEDS, downsample, halo), Read(NUCLEUS_MAP, downsample, outside=NOT_COMPUTED))
    shape = grid.shape_at(downsample)

    def kernel(shard: ShardInput) -> ShardOutput:
        around = shard.read(SEEDS)
        patch = around.region.clipped(shape)
        seeds = around.pixels[patch.relative_to(around.region).slices]
        nucleus = shard.read(NUCLEUS_MAP).pixels
        tables = grow_tables(shard.tables["seeds"], shard.index)
        found, partial = grow_instances(seeds, nucleus, shard.core, patch, tables, halo)
        return ShardOutput({GROWN: found}, partial)

    def reduce(partials: dict[tuple[int, int], Table], tables: Mapping[str, Table]) -> Table:
        seed_count = tables["seeds"]["rank"].size - 1
        return merge_instances(partials.values(), seed_count, mpp, params)

    write = Write(GROWN, "scratch", "uint32", 0)
    return Stage(NUMBERED, downsample, shard_px, reads, (write,), kernel, reduce)


def grow_instances(
    seeds: Array, nucleus: Array, core: Region, patch: Region, tables: Table, grow_px: int
) -> tuple[Array, Table]:
    """Grow the seeds of a shard to nuclei.

    A pixel that several seeds reach in the same step belongs to the seed of the highest rank. Where two seeds
    share that rank, the pixel stays background and blocks growth: any other choice would depend on the
    orientation.

    Args:
        seeds: Labels of :func:`wsipipe.stages.nuclei.seeds.find_seeds` in ``patch``, local to each shard.
        nucleus: Stored nucleus probability (core height, width) uint8.
        core: The shard.
        patch: ``core.grown(grow_px)`` clipped to the slide; reaches at most into the eight neighbours.
        tables: Result of :func:`wsipipe.stages.nuclei.join.grow_tables` for this shard.
        grow_px: Number of steps, ``InstanceParams.grow_px(mpp)``.

    Returns:
        The slide's seed numbers (core height, width) uint32, and a table by seed: ``seed``, ``area``,
        ``nucleus`` (sums in the core), ``min_y``, ``max_y``, ``min_x``, ``max_x``, ``first_x`` (of the first
        pixel in raster order), slide px.
    """
    labels, free, numbers, ranks = _patch_labels(seeds, core, patch, tables)
    if not grown(labels, free, ranks, grow_px):
        _grow(labels.ravel(), free.ravel(), labels.shape[1], ranks, grow_px)
    return summed(labels[1:-1, 1:-1][core.relative_to(patch).slices], nucleus, core, numbers)


def summed(labels: Array, nucleus: Array, core: Region, numbers: Array) -> tuple[Array, Table]:
    """Return the seed numbers of a core, and the table of :func:`grow_instances`.

    Args:
        labels: Labels (core height, width) uint32, indices of ``numbers``.
        nucleus: Stored nucleus probability (core height, width) uint8.
        core: The shard.
        numbers: Seed number (n,) uint32 of each label; the first is 0.
    """
    found = summed_grown(labels, nucleus, numbers)
    result, sums = _summed(labels, nucleus, numbers) if found is None else found
    return result, _partial(sums, core, numbers)


def _patch_labels(
    seeds: Array, core: Region, patch: Region, tables: Table
) -> tuple[Array, Array, Array, Array]:
    """Return labels, pixels to take, seed numbers and ranks.

    Labels are numbered from 1; both images have a border of one pixel.
    """
    numbers, by_entry = np.unique(np.append(tables["seed"], np.uint32(0)), return_inverse=True)
    ranks = np.zeros(numbers.size, np.int64)
    ranks[by_entry[:-1]] = tables["rank"]
    by_entry = by_entry.astype(np.uint32)
    padded = np.zeros((seeds.shape[0] + 2, seeds.shape[1] + 2), np.uint32)
    labels, free = padded[1:-1, 1:-1], np.zeros(padded.shape, bool)
    for i, rows in enumerate(_bands(patch.y, core.y, core.end_y, patch.end_y)):
        for j, columns in enumerate(_bands(patch.x, core.x, core.end_x, patch.end_x)):
            if tables["starts"][i, j] >= 0:
                own, part = by_entry[tables["starts"][i, j] :], seeds[rows, columns]
                if looked_up(own, part, labels[rows, columns]) is None:
                    labels[rows, columns] = own[part]
    free[1:-1, 1:-1] = (seeds > 0) & (labels == 0)
    return padded, free, numbers, ranks


def _bands(*edges: int) -> list[slice]:
    return [slice(a - edges[0], b - edges[0]) for a, b in pairwise(edges)]


def _grow(labels: Array, free: Array, width: int, ranks: Array, steps: int) -> None:
    """Grow flat labels with a border in place."""
    around = np.array([-width, -1, 1, width])
    front = np.flatnonzero(labels)
    for _ in range(steps):
        reached = _take_reached(front, free, around)
        if not reached.size:
            break
        # The labelled neighbours of a free pixel got their labels in the last step: earlier ones would have
        # taken it.
        labels[reached] = _winners(labels[reached + around[:, None]], ranks)
        front = reached[labels[reached] > 0]


def _take_reached(front: Array, free: Array, around: Array) -> Array:
    """Return the free pixels beside the front, each once, and mark them as taken."""
    taken = []
    for step in around:
        beside = front + step
        taken.append(beside[free[beside]])
        free[taken[-1]] = False
    return np.concatenate(taken)


def _winners(rivals: Array, ranks: Array) -> Array:
    """Return the label (n,) of highest rank of four neighbours (4, n); 0 on ties."""
    rank = ranks[rivals]
    best = rank == rank.max(axis=0)
    first = np.where(best, rivals, 0).max(axis=0)
    last = np.where(best, rivals, np.iinfo(rivals.dtype).max).min(axis=0)
    return np.where(first == last, first, 0)


def _summed(labels: Array, nucleus: Array, numbers: Array) -> tuple[Array, Table]:
    """Return seed numbers of a core, and sums and bounds by label, without compiled code."""
    width, place = labels.shape[1], np.flatnonzero(labels)
    label, column = labels.ravel()[place], place % width
    first, last = np.zeros((2, numbers.size), np.int64)
    # Of several values for one index numpy keeps the last.
    first[label[::-1]], last[label] = place[::-1], place
    min_x, max_x = np.full(numbers.size, width), np.full(numbers.size, -1)
    np.minimum.at(min_x, label, column)
    np.maximum.at(max_x, label, column)
    sums = {
        "area": np.bincount(label, minlength=numbers.size),
        "nucleus": np.bincount(label, nucleus.ravel()[place], numbers.size).astype(np.int64),
    }
    return numbers[labels], sums | {"first": first, "last": last, "min_x": min_x, "max_x": max_x}


def _partial(sums: Table, core: Region, numbers: Array) -> Table:
    columns = {
        "seed": numbers,
        "area": sums["area"],
        "nucleus": sums["nucleus"],
        "min_y": core.y + sums["first"] // core.width,
        "max_y": core.y + sums["last"] // core.width,
        "min_x": core.x + sums["min_x"],
        "max_x": core.x + sums["max_x"],
        "first_x": core.x + sums["first"] % core.width,
    }
    return {name: values[sums["area"] > 0] for name, values in columns.items()}
