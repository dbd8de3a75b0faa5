"""Cores tile the array, and patches lie where their core lies."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.geometry import Region
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.stage import Read, ShardOutput, Stage, upsampled

sides = st.integers(1, 9).map(lambda side: 64 * side)


def stage(downsample: int, shard_px: int, whole: bool = False) -> Stage:
    return Stage("x", downsample, shard_px, (), (), lambda shard: ShardOutput(), single_task=whole)


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.sampled_from([1, 2, 16, 64]), st.integers(20, 300), st.booleans())
def test_cores_cover_every_pixel_once(
    height: int, width: int, downsample: int, shard: int, whole: bool
) -> None:
    grid = CanvasGrid((height, width), 0.5, (0.0, 0.0), 1.0)
    chosen = stage(downsample, shard, whole)
    seen = np.zeros(grid.shape_at(downsample), int)
    for index in product(*map(range, chosen.grid_shape(grid))):
        seen[chosen.core(grid, index).slices] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("write", "read", "core", "patch"),
    [
        (1, Read("a", 1, 3), Region(64, 0, 64, 32), Region(61, -3, 70, 38)),
        (1, Read("a", 16), Region(64, 32, 64, 32), Region(4, 2, 4, 2)),
        (32, Read("a", 2, 16), Region(1, 2, 1, 1), Region(0, 16, 48, 48)),
        (1, Read("a", 16), Region(10, 20, 8, 8), Region(0, 1, 2, 1)),
    ],
)
def test_a_patch_covers_its_core_and_halo(write: int, read: Read, core: Region, patch: Region) -> None:
    assert stage(write, 64).patch_region(read, core) == patch


def test_affine_leads_to_level_0() -> None:
    grid = CanvasGrid((128, 64), 0.5, (-3.0, -5.0), 2.0)
    assert grid.affine_at(16) == (-3.0, -5.0, 32.0)
    assert grid.shape_at(48) == (3, 2)


def test_upsampled_repeats() -> None:
    assert upsampled(np.eye(2, dtype=int), 2).tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 1],
        [0, 0, 1, 1],
    ]
