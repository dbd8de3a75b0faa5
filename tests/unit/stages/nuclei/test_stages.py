"""The stages around the arithmetic of instances: any shard size, the same ids, table and places."""

from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from scipy import ndimage

from wsipipe.geometry import Array, Region
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.nuclei.grow import grow_stage
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.relabel import NUCLEI, nuclei_stage
from wsipipe.stages.nuclei.seeds import CENTRE_MAP, NUCLEUS_MAP, seeds_stage
from wsipipe.stages.nuclei.table import ClassGrid, table_stage
from wsipipe.stages.stage import Patch, ShardInput, Stage

GRID = CanvasGrid((256, 192), 0.5, (-10.0, -20.0), 2.0)
PARAMS = InstanceParams(grow_um=4, min_area_um2=2)
CLASSES = ClassGrid(32, ("left", "right"))


def nuclei() -> dict[str, Array]:
    """Discs at known places, some over the seams of every shard size."""
    rng = np.random.default_rng(5)
    centres = np.zeros(GRID.shape, bool)
    spots = np.stack(np.meshgrid(np.arange(12, 250, 17), np.arange(12, 185, 19)), -1).reshape(-1, 2)
    spots += rng.integers(-2, 3, spots.shape)
    centres[spots[:, 0], spots[:, 1]] = True
    distance = ndimage.distance_transform_edt(~centres)
    classes = np.zeros((8, 6), np.uint8)
    classes[:, 3:] = 1
    return {
        NUCLEUS_MAP: np.where(distance < 6.5, 240, 3).astype(np.uint8),
        CENTRE_MAP: np.where(distance < 3.2, 230, 4).astype(np.uint8),
        "image/0": rng.integers(0, 256, (*GRID.shape, 3), np.uint8),
        "labels/tissue_class/0": classes,
    }


def run(shard_px: int) -> tuple[Array, pa.Table]:
    """What the runner does with these stages, in one process."""
    arrays, tables, rows = nuclei(), {}, []
    stages = [
        seeds_stage(PARAMS, GRID, 1, shard_px),
        grow_stage(PARAMS, GRID, 1, shard_px),
        nuclei_stage(1, shard_px),
        table_stage(GRID, 1, shard_px, CLASSES),
    ]
    for stage in stages:
        partials = {}
        arrays |= {write.name: np.zeros(GRID.shape, write.dtype) for write in stage.writes}
        for index in product(*map(range, stage.grid_shape(GRID))):
            output = stage.kernel(_shard(stage, index, dict(arrays), tables))
            for name, pixels in output.arrays.items():
                arrays[name][stage.core(GRID, index).slices] = pixels
            partials[index] = output.partial
            rows += [output.rows] if output.rows is not None else []
        if stage.reduce:
            tables[stage.name] = stage.reduce(partials, tables)
    return arrays[NUCLEI], pa.concat_tables(rows).sort_by("id")


def _shard(stage: Stage, index: tuple[int, int], arrays: dict[str, Array], tables: dict) -> ShardInput:
    core = stage.core(GRID, index)

    def read(name: str, around: Region | None = None) -> Patch:
        read = next(read for read in stage.reads if read.name == name)
        region = stage.patch_region(read, around or core)
        pixels = np.full((*region.shape, *arrays[name].shape[2:]), read.outside, arrays[name].dtype)
        inside = region.clipped(arrays[name].shape[:2])
        pixels[inside.relative_to(region).slices] = arrays[name][inside.slices]
        return Patch(pixels, region)

    return ShardInput(index, core, read, tables)


@pytest.fixture(scope="module")
def whole() -> tuple[Array, pa.Table]:
    return run(256)


@pytest.mark.parametrize("shard_px", [64, 96, 128])
def test_the_shard_size_changes_nothing(whole: tuple[Array, pa.Table], shard_px: int) -> None:
    labels, table = run(shard_px)
    np.testing.assert_array_equal(labels, whole[0])
    assert table.equals(whole[1])


def test_one_id_and_one_row_a_nucleus(whole: tuple[Array, pa.Table]) -> None:
    labels, table = whole
    count = 14 * 10
    np.testing.assert_array_equal(np.unique(labels), np.arange(count + 1))
    assert table["id"].to_pylist() == list(range(1, count + 1))


def test_rows_tell_where_the_labels_lie(whole: tuple[Array, pa.Table]) -> None:
    labels, table = whole
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, table["id"].to_numpy())) + 0.5
    for axis, (name, offset) in enumerate((("y", -10.0), ("x", -20.0))):
        np.testing.assert_allclose(table[f"centroid_{name}_px0"], offset + 2 * centres[:, axis], atol=1e-6)
    side = np.where(centres[:, 1] < 96, "left", "right")
    assert (table["tissue_class"].to_numpy(zero_copy_only=False) == side).mean() > 0.97
