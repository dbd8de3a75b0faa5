"""A large result in a minute: one synthetic block, repeated with new ids."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
import zarr

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Array, Region
from wsipipe.review.sample import CLASSES, in_order
from wsipipe.stages.nuclei.shape import shapes
from wsipipe.stages.nuclei.table import measure
from wsipipe.stages.pyramid import level_count, mode_of_four
from wsipipe.stages.tile import RGB
from wsipipe.store import manifest, ome_metadata
from wsipipe.store.arrays import RESULT, ArraySpec, array_path, create_array, open_array
from wsipipe.store.geoparquet import write_parquet
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.store.ome_metadata import NOT_COMPUTED_CLASS
from wsipipe.store.result import Result, open_result
from wsipipe.synth.slide import SyntheticSlide

MPP = 0.25
BLOCK_PX = 2048
CHUNK_PX = 512
CLASS_DOWNSAMPLE = 64


def make_store(work: Path, side_px: int) -> Result:
    """Write a square result with about 600 nuclei per block of 2,048 px.

    Image shards are links to those of one block, so the disk holds one; label shards are not.
    """
    blocks = side_px // BLOCK_PX
    levels = level_count((side_px, side_px))
    slide = SyntheticSlide(5, BLOCK_PX, MPP)
    whole = Region(0, 0, BLOCK_PX, BLOCK_PX)
    rgb, nuclei = slide.rgb(whole), in_order(slide.nuclei(whole))
    root = work / RESULT / "slide.zarr"
    scales = ome_metadata.multiscale("image", levels, MPP, 1, channels=True, kind="mean")
    about = {
        "slide_id": "benchmark",
        "plan": "0" * 64,
        "notice": RESEARCH_USE_NOTICE,
        "canvas_mpp": MPP,
        "level0_offset_yx": [0.0, 0.0],
        "level0_px_per_canvas_px": 1.0,
    }
    zarr.create_group(
        root, attributes=ome_metadata.image_attributes("image", scales, RGB) | {"wsipipe": about}
    )
    names = ["tissue_class", "nuclei"]
    zarr.create_group(root / "labels", attributes=ome_metadata.labels_attributes(names))
    _image(work, rgb, side_px, levels)
    _nuclei(work, nuclei, side_px, levels)
    _classes(work, side_px)
    _table(work, nuclei, blocks)
    manifest.write(work, manifest.build("0" * 64, []))
    return open_result(work / RESULT)


def _image(work: Path, rgb: Array, side_px: int, levels: int) -> None:
    pixels = np.moveaxis(rgb, 2, 0)
    for level in range(levels):
        side = side_px >> level
        shard = min(side, BLOCK_PX)
        spec = ArraySpec(f"image/{level}", (3, side, side), "uint8", 255, shard, min(shard, CHUNK_PX))
        create_array(work, spec)
        folder = work / array_path(spec.name)
        repeats = shard // pixels.shape[-1]
        open_array(folder, writable=True)[:, :shard, :shard] = np.tile(pixels, (1, repeats, repeats))
        for y in range(side // shard):
            for x in range(side // shard):
                target = folder / "c" / "0" / str(y) / str(x)
                target.parent.mkdir(parents=True, exist_ok=True)
                if (y, x) != (0, 0):
                    os.link(folder / "c" / "0" / "0" / "0", target)
        pixels = np.moveaxis(block_mean(np.moveaxis(pixels, 0, 2)), 2, 0)


def _nuclei(work: Path, block: Array, side_px: int, levels: int) -> None:
    count, blocks = int(block.max()), side_px // BLOCK_PX
    scales = ome_metadata.multiscale("nuclei", levels, MPP, 1, channels=False, kind="mode")
    zarr.create_group(
        work / array_path("labels/nuclei"), attributes=ome_metadata.label_attributes(scales, [])
    )
    small = block
    for level in range(levels):
        side = side_px >> level
        shard = min(side, BLOCK_PX)
        spec = ArraySpec(f"labels/nuclei/{level}", (side, side), "uint32", 0, shard, min(shard, CHUNK_PX))
        create_array(work, spec)
        array = open_array(work / array_path(spec.name), writable=True)
        each = small.shape[0]
        for y in range(0, side, shard):
            for x in range(0, side, shard):
                rows, columns = (np.arange(at, at + shard) // each for at in (y, x))
                offset = (rows[:, None] * blocks + columns).astype(np.uint32) * np.uint32(count)
                tiled = np.tile(small, (shard // each, shard // each))
                array[y : y + shard, x : x + shard] = tiled + offset * (tiled > 0)
        small = mode_of_four(small)


def _classes(work: Path, side_px: int) -> None:
    cells = side_px // CLASS_DOWNSAMPLE
    scales = ome_metadata.multiscale("tissue_class", 1, MPP, CLASS_DOWNSAMPLE, channels=False, kind="mode")
    described = ome_metadata.label_attributes(scales, [*CLASSES, NOT_COMPUTED_CLASS])
    zarr.create_group(work / array_path("labels/tissue_class"), attributes=described)
    create_array(
        work, ArraySpec("labels/tissue_class/0", (cells, cells), "uint8", 255, cells, min(cells, 512))
    )
    stripes = (np.indices((cells, cells)).sum(0) // 64 % 2).astype(np.uint8)
    open_array(work / array_path("labels/tissue_class/0"), writable=True)[...] = stripes


def _table(work: Path, block: Array, blocks: int) -> None:
    count = int(block.max())
    rows = {
        "id": np.arange(1, count + 1, dtype=np.uint32),
        "area": shapes(block, count).area.astype(np.int64),
        "nucleus": shapes(block, count).area * 200,
    }
    one = measure(block, rows, Region(0, 0, BLOCK_PX, BLOCK_PX), (0.0, 0.0, 1.0), MPP)
    polygons = shapely.from_wkb(one["polygon"].to_numpy())
    rng = np.random.default_rng(0)
    tables = (
        _moved(one, polygons, number * count, *divmod(number, blocks), rng) for number in range(blocks**2)
    )
    write_parquet(work / RESULT / NUCLEI_TABLE, tables)


def _moved(
    one: pa.Table, polygons: Array, first: int, row: int, column: int, rng: np.random.Generator
) -> pa.Table:
    y, x = row * BLOCK_PX, column * BLOCK_PX
    moved = {
        "id": pa.array(one["id"].to_numpy() + np.uint32(first)),
        "centroid_y_um": pa.array(one["centroid_y_um"].to_numpy() + y * MPP),
        "centroid_x_um": pa.array(one["centroid_x_um"].to_numpy() + x * MPP),
        "centroid_y_px0": pa.array(one["centroid_y_px0"].to_numpy() + y),
        "centroid_x_px0": pa.array(one["centroid_x_px0"].to_numpy() + x),
        "probability": pa.array(rng.uniform(0.5, 1, one.num_rows).astype(np.float32)),
        "tissue_class": pa.array(np.where(rng.random(one.num_rows) < 0.5, "stroma", "gland")),
        "polygon": pa.array(
            shapely.to_wkb(shapely.transform(polygons, lambda points: np.add(points, (x, y)))), pa.binary()
        ),
    }
    for name, values in moved.items():
        one = one.set_column(one.schema.get_field_index(name), one.schema.field(name), values)
    return one
