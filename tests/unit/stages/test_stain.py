"""Colours are counted alike whatever the shards and the orientation, and are brought to the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wsipipe.geometry import Array, Region
from wsipipe.models.cards.card import ModelCard, StainReference
from wsipipe.stages.grid import CanvasGrid, tissue_downsample
from wsipipe.stages.stage import Patch, ShardInput, Stage
from wsipipe.stages.stain import DENSITY, REFERENCE, colours, lookup, restained, stain_stage
from wsipipe.stages.tissue import TISSUE

GRID = CanvasGrid((256, 384), 0.5, (0.0, 0.0), 1.0)
UNIT = tissue_downsample(0.5)
CARD = ModelCard(
    name="fake",
    architecture="gmr_unet",
    arguments={},
    mpp=0.5,
    outputs=({"name": "nucleus"},),
    activation="sigmoid",
    stain_reference=REFERENCE,
    sha256="0" * 64,
    data=("none",),
    licence="none",
    non_commercial=False,
)


def tissue_like(shape: tuple[int, int], seed: int = 0, density: float = 0.7) -> Array:
    """Pixels (H, W, 3) of some optical density, a third of them glass."""
    rng = np.random.default_rng(seed)
    drawn = rng.gamma(9, density / 9, (*shape, 3)) * np.array([0.7, 1.2, 0.8])
    drawn[rng.random(shape) < 0.33] = 0
    return np.clip(np.rint(256 * np.exp(-drawn) - 1), 0, 255).astype(np.uint8)


def told(counts: Array) -> tuple[Array, Array]:
    mean = counts @ DENSITY / counts[0].sum()
    return mean, np.sqrt(counts @ DENSITY**2 / counts[0].sum() - mean**2)


@pytest.mark.parametrize("density", [0.7, 0.9, 1.1])
def test_tissue_gets_the_colours_of_the_reference_and_glass_stays_white(density: float) -> None:
    pixels = tissue_like((200, 200), density=density)
    after = restained(pixels, lookup(colours(pixels), REFERENCE))
    dark = (pixels < 250).any(axis=2)
    mean, sd = told(np.stack([np.bincount(after[dark][:, channel], minlength=256) for channel in range(3)]))
    np.testing.assert_allclose(mean, REFERENCE.mean, atol=0.05)
    np.testing.assert_allclose(sd, REFERENCE.sd, atol=0.08)
    assert (after[~dark] == 255).all()


def test_slides_stained_light_and_dark_come_to_look_alike() -> None:
    light, dark = (tissue_like((200, 200), density=density) for density in (0.5, 0.9))
    apart = np.abs(light.astype(int) - dark).mean()
    both = [restained(pixels, lookup(colours(pixels), REFERENCE)) for pixels in (light, dark)]
    assert np.abs(both[0].astype(int) - both[1]).mean() < apart / 2


@settings(deadline=None)
@given(seed=st.integers(0, 999), density=st.floats(0.1, 2.5))
def test_a_table_never_makes_lighter_what_was_darker(seed: int, density: float) -> None:
    table = lookup(colours(tissue_like((60, 60), seed, density)), REFERENCE)
    assert (np.diff(table.astype(int), axis=1) >= 0).all()
    assert (table[:, 255] == 255).all()


def test_too_little_tissue_changes_nothing() -> None:
    table = lookup(colours(tissue_like((20, 20))), REFERENCE)
    assert (table == np.arange(256)).all()


def test_one_colour_alone_is_no_division_by_zero() -> None:
    pixels = np.full((64, 64, 3), 100, np.uint8)
    after = restained(pixels, lookup(colours(pixels), REFERENCE))
    np.testing.assert_allclose(DENSITY[after[0, 0]], REFERENCE.mean, atol=0.01)


def ragged(seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 2, GRID.shape_at(UNIT)).astype(np.uint8)


def counted(image: Array, tissue: Array, shard_px: int, halo_px: int = 0) -> Array:
    """Counts of all shards; the mask of a halo is that of everywhere."""
    grid = CanvasGrid(image.shape[:2], 0.5, (0.0, 0.0), 1.0)
    stage = stain_stage(CARD, REFERENCE, grid, shard_px)
    rows, columns = stage.grid_shape(grid)
    partials = {}
    for index in [(row, column) for row in range(rows) for column in range(columns)]:
        core = stage.core(grid, index)
        partials[index] = stage.kernel(ShardInput(index, core, reader(stage, core, image, tissue))).partial
        if halo_px:
            rim = image[core.grown(halo_px).clipped(image.shape[:2]).slices]
            partials[index] = {"counts": colours(rim)}
    assert stage.reduce is not None
    table = stage.reduce(partials, {})
    assert (table["lookup"] == lookup(table["counts"], REFERENCE)).all()
    return table["counts"]


def reader(stage: Stage, core: Region, image: Array, tissue: Array) -> object:
    arrays = {"image/0": image, TISSUE: tissue}

    def read(name: str, around: Region | None = None) -> Patch:
        region = stage.patch_region(next(each for each in stage.reads if each.name == name), core)
        return Patch(arrays[name][region.slices], region)

    return read


@settings(deadline=None)
@given(
    shard_px=st.sampled_from([64, 128, 256, 512]),
    turns=st.integers(0, 3),
    mirrored=st.booleans(),
    seed=st.integers(0, 99),
)
def test_neither_shards_nor_orientation_change_the_counts(
    shard_px: int, turns: int, mirrored: bool, seed: int
) -> None:
    image, tissue = tissue_like(GRID.shape, seed), ragged(seed)
    inside = np.repeat(np.repeat(tissue, UNIT, 0), UNIT, 1) == 1
    turned = [np.rot90(each[:, ::-1] if mirrored else each, turns) for each in (image, tissue)]
    assert (counted(*turned, shard_px) == colours(image, inside)).all()


def test_sister_with_halos_counted_too_shards_matter() -> None:
    image, tissue = tissue_like(GRID.shape), ragged(0)
    assert (counted(image, tissue, 128, halo_px=8) != counted(image, tissue, 512, halo_px=8)).any()


def test_a_reference_is_three_channels() -> None:
    with pytest.raises(ValidationError):
        StainReference(mean=(1, 1), sd=(1, 1, 1))
    with pytest.raises(ValidationError):
        StainReference(mean=(1, 1, 1), sd=(1, 0, 1))
