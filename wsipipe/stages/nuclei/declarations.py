"""Probabilities -> ``labels/nuclei`` and rows of the table: seeds, join, grow, merge, number, measure.

Declares the shard-wise steps of docs/instances.md as stages; the arithmetic is in seeds, join, grow, merge.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from wsipipe.geometry import Region
from wsipipe.stages.classify import CLASS_MAP
from wsipipe.stages.nuclei.grow import grow_instances
from wsipipe.stages.nuclei.join import grow_tables, join_seeds
from wsipipe.stages.nuclei.number import merge_instances, nuclei_in, patch_of
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.relabel import relabel
from wsipipe.stages.nuclei.seeds import find_seeds
from wsipipe.stages.nuclei.table import TissueMap, measure
from wsipipe.stages.segment import probability_name
from wsipipe.stages.stage import Frame, Read, ShardInput, ShardOutput, Stage, Write
from wsipipe.stages.tile import image_name
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.store.nuclei_table import SCHEMA
from wsipipe.store.tables import Table

NUCLEI = "labels/nuclei/0"
SEEDS = "scratch/seeds"
GROWN = "scratch/grown"
NUCLEUS_MAP = probability_name("nucleus")
CENTRE_MAP = probability_name("centre")


def seeds_stage(params: InstanceParams, frame: Frame, downsample: int, shard_px: int) -> Stage:
    """Labels seeds and foreground inside each shard; the reduce step joins them over the faces."""
    mpp = frame.mpp * downsample
    reads = tuple(Read(name, downsample, outside=NOT_COMPUTED) for name in (NUCLEUS_MAP, CENTRE_MAP))

    def kernel(shard: ShardInput) -> ShardOutput:
        labels, partial = find_seeds(shard.read(NUCLEUS_MAP).pixels, shard.read(CENTRE_MAP).pixels, params)
        return ShardOutput({SEEDS: labels}, partial, effort="low")

    def reduce(partials: dict[tuple[int, int], Table], tables: Mapping[str, Table]) -> Table:
        return join_seeds(partials, stage.grid_shape(frame), shard_px, mpp, params)

    stage = Stage("seeds", downsample, shard_px, reads, (Write(SEEDS, "uint32", 0),), kernel, reduce)
    return stage


def grow_stage(params: InstanceParams, frame: Frame, downsample: int, shard_px: int) -> Stage:
    """Grows the slide's seeds in each shard; the reduce step drops the too small or large and numbers."""
    mpp = frame.mpp * downsample
    halo = params.grow_px(mpp)
    reads = (Read(SEEDS, downsample, halo), Read(NUCLEUS_MAP, downsample, outside=NOT_COMPUTED))
    shape = frame.shape_at(downsample)

    def kernel(shard: ShardInput) -> ShardOutput:
        around = shard.read(SEEDS)
        patch = around.region.clipped(shape)
        seeds = around.pixels[patch.relative_to(around.region).slices]
        nucleus = shard.read(NUCLEUS_MAP).pixels
        tables = grow_tables(shard.tables["seeds"], shard.index)
        grown, partial = grow_instances(seeds, nucleus, shard.core, patch, tables, halo)
        return ShardOutput({GROWN: grown}, partial, effort="low")

    def reduce(partials: dict[tuple[int, int], Table], tables: Mapping[str, Table]) -> Table:
        seed_count = tables["seeds"]["rank"].size - 1
        return merge_instances(partials.values(), seed_count, mpp, params)

    return Stage("grow", downsample, shard_px, reads, (Write(GROWN, "uint32", 0),), kernel, reduce)


def nuclei_stage(downsample: int, shard_px: int) -> Stage:
    """Seed numbers -> ids 1..N, the published labels."""

    def kernel(shard: ShardInput) -> ShardOutput:
        return ShardOutput({NUCLEI: relabel(shard.read(GROWN).pixels, shard.tables["grow"]["final"])})

    return Stage(
        "nuclei", downsample, shard_px, (Read(GROWN, downsample),), (Write(NUCLEI, "uint32", 0),), kernel
    )


@dataclass(frozen=True)
class ClassGrid:
    """The class map's grid and names, where the workflow has one."""

    downsample: int
    names: tuple[str, ...]


def table_stage(frame: Frame, downsample: int, shard_px: int, classes: ClassGrid | None) -> Stage:
    """Measures each nucleus whole, in the shard that holds its first pixel."""
    mpp = frame.mpp * downsample
    image = image_name(downsample.bit_length() - 1)
    reads = [Read(NUCLEI, downsample), Read(image, downsample, outside=255)]
    if classes:
        reads.append(Read(CLASS_MAP, classes.downsample, outside=NOT_COMPUTED))

    def kernel(shard: ShardInput) -> ShardOutput:
        nuclei = {name: column for name, column in shard.tables["grow"].items() if name != "final"}
        rows = nuclei_in(nuclei, shard.core)
        if not rows["id"].size:
            return ShardOutput(rows=SCHEMA.empty_table())
        patch = patch_of(rows)
        labels, rgb = (shard.read(name, patch).pixels for name in (NUCLEI, image))
        tissue = _tissue_map(shard, patch, frame, classes) if classes else None
        affine = frame.affine_at(downsample)
        return ShardOutput(rows=measure(labels, rows, patch, affine, mpp, rgb, tissue))

    return Stage("table", downsample, shard_px, tuple(reads), (), kernel)


def _tissue_map(shard: ShardInput, patch: Region, frame: Frame, classes: ClassGrid) -> TissueMap:
    found = shard.read(CLASS_MAP, patch)
    offset_y, offset_x, step = frame.affine_at(classes.downsample)
    affine = (offset_y + found.region.y * step, offset_x + found.region.x * step, step)
    return TissueMap(found.pixels, dict(enumerate(classes.names)), affine)
