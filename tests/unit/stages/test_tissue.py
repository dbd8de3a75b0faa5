"""Tissue, glass, and what was not computed, are three values."""

import numpy as np
import pytest

from wsipipe.geometry import Array, Region
from wsipipe.stages.grid import CanvasGrid, tissue_downsample
from wsipipe.stages.stage import Patch, ShardInput
from wsipipe.stages.tissue import REGION_MARGIN_UM, TISSUE, tissue_stage
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.tiling.morphology import dilated
from wsipipe.tiling.tissue import TissueParams

GRID = CanvasGrid((1024, 2048), 0.5, (0.0, 0.0), 2.0)


def overview() -> Array:
    """Left half textured pink, right half glass, 64 x 128 px."""
    rng = np.random.default_rng(0)
    rgb = np.full((64, 128, 3), 244, np.uint8)
    rgb[:, :64] = np.array([200, 120, 170]) + rng.integers(-20, 20, (64, 64, 1))
    return rgb


def labels(region: Region | None = None, given: Array | None = None, scanned: Array | None = None) -> Array:
    stage = tissue_stage(TissueParams(), GRID, 256, region, given is not None)
    shapes = {"overview": overview(), "given_mask": given}
    shapes["scanned"] = np.ones((64, 128), bool) if scanned is None else scanned
    core = stage.core(GRID, (0, 0))
    read = {name: Patch(pixels, core) for name, pixels in shapes.items() if pixels is not None}
    return stage.kernel(ShardInput((0, 0), core, lambda name, around=None: read[name])).arrays[TISSUE]


def test_tissue_is_found_and_glass_is_not() -> None:
    found = labels()
    assert found.dtype == np.uint8
    assert (found[:, :60] == 1).mean() > 0.95
    assert (found[:, 72:] == 0).all()


def test_a_field_of_view_that_tissue_fills_is_tissue_everywhere() -> None:
    field = CanvasGrid((128, 64), 0.5, (0.0, 0.0), 1.0)
    stage = tissue_stage(TissueParams(), field, 256, None, given=False)
    core = stage.core(field, (0, 0))
    pixels = {"overview": np.full((8, 4, 3), (214, 205, 215), np.uint8), "scanned": np.ones((8, 4), bool)}
    shard = ShardInput((0, 0), core, lambda name, around=None: Patch(pixels[name], core))
    assert (stage.kernel(shard).arrays[TISSUE] == 1).all()


def test_what_was_not_scanned_is_not_background() -> None:
    scanned = np.ones((64, 128), bool)
    scanned[:16] = False
    found = labels(scanned=scanned)
    assert (found[:16] == NOT_COMPUTED).all()
    assert set(np.unique(found[16:])) == {0, 1}


def test_beside_the_region_is_not_computed_and_inside_is_as_ever() -> None:
    region = Region(100, 200, 300, 500)
    inside = region.scaled(1, 16).slices
    found, everywhere = labels(region), labels()
    np.testing.assert_array_equal(found[inside], everywhere[inside])
    found[inside] = NOT_COMPUTED
    assert (found == NOT_COMPUTED).all()


def test_a_mask_of_the_users_takes_the_place_of_the_computed_one() -> None:
    given = np.zeros((64, 128), bool)
    given[5:9, 100:110] = True
    np.testing.assert_array_equal(labels(given=given), given.astype(np.uint8))


def test_only_regions_and_their_margin_are_computed() -> None:
    stage = tissue_stage(TissueParams(only_regions=True), GRID, 256, None, given=False)
    regions = np.zeros((64, 128), bool)
    regions[20:30, 40:80] = True
    pixels = {"overview": overview(), "scanned": np.ones((64, 128), bool), "regions": regions}
    core = stage.core(GRID, (0, 0))
    shard = ShardInput((0, 0), core, lambda name, around=None: Patch(pixels[name], core))
    found = stage.kernel(shard).arrays[TISSUE]
    near = dilated(regions, REGION_MARGIN_UM / 8)
    assert near.sum() > regions.sum()
    np.testing.assert_array_equal(found[near], labels()[near])
    assert (found[~near] == NOT_COMPUTED).all()


@pytest.mark.parametrize(
    ("mpp", "downsample"), [(0.25, 32), (0.5, 16), (0.4990, 16), (1, 8), (8, 1), (20, 1)]
)
def test_the_mask_has_about_8_um(mpp: float, downsample: int) -> None:
    assert tissue_downsample(mpp) == downsample
