"""Networks give the same arrays however the slide is cut, and turn with it; and each law can fail."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.geometry import Array, Orientation, Region
from wsipipe.models.cards.card import ModelCard, Output
from wsipipe.stages.classify import CLASS_MAP, ClassifyParams, classify_stage
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.segment import SegmentParams, segment_stage
from wsipipe.stages.stage import Patch, ShardInput, Stage, upsampled
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.encoding import NOT_COMPUTED

MPP, TISSUE_PX = 0.5, 16
FEW = settings(max_examples=25, deadline=None)
SEGMENT_SHARDS, CLASSIFY_SHARDS = (64, 128, 192, 512), (2, 4, 6, 32)
orientations = st.sampled_from(list(Orientation))
seeds = st.integers(0, 10**6)
sides = st.sampled_from([64, 128, 192, 256])


@dataclass(frozen=True)
class BoxNetwork:
    """Pools on its lattice, then sums over a box of cells: of known reach, and symmetric, like a GMR network.

    Zero padding outside the patch, white is zero, and sums of integers: equal is equal to the last bit.
    """

    lattice_px: int
    stride: int
    radius_cells: int
    looks_at_patch: bool = False

    def __call__(self, patch: Array) -> Array:
        unit = self.lattice_px
        dark = 3 * 255 - patch.sum(axis=2, dtype=np.int64)
        height, width = (side // unit for side in dark.shape)
        cells = dark.reshape(height, unit, width, unit).sum(axis=(1, 3))
        reach = self.radius_cells
        padded = np.pad(cells, reach)
        size = range(2 * reach + 1)
        box = sum(padded[y : y + height, x : x + width] for y, x in product(size, size))
        share = box / (3 * 255 * unit**2 * (2 * reach + 1) ** 2)
        if self.stride == 1:
            share = (upsampled(share, unit) + dark / (3 * 255)) / 2
        if self.looks_at_patch:
            share = np.clip(share - share.mean() + 0.5, 0, 1)
        return np.stack([share, 1 - share]).astype(np.float32)


def card(network: BoxNetwork, mpp: float, halo_px: int) -> ModelCard:
    return ModelCard(
        name="box",
        architecture="gmr_unet",
        arguments={},
        mpp=mpp,
        outputs=(Output(name="nucleus"), Output(name="centre")),
        activation="sigmoid",
        lattice_px=network.lattice_px,
        halo_px=halo_px,
        stride=network.stride,
        sha256="0" * 64,
        data=("none",),
        licence="none",
        non_commercial=False,
    )


def slide(seed: int, shape: tuple[int, int]) -> dict[str, Array]:
    """The arrays that the two stages read: image levels 0 and 1, and a ragged tissue mask."""
    rng = np.random.default_rng(seed)
    tissue = rng.choice(np.array([0, 1, 1, 255], np.uint8), (shape[0] // TISSUE_PX, shape[1] // TISSUE_PX))
    return {
        "image/0": rng.integers(0, 256, (*shape, 3), np.uint8),
        "image/1": rng.integers(0, 256, (shape[0] // 2, shape[1] // 2, 3), np.uint8),
        TISSUE: tissue,
    }


def turned(arrays: dict[str, Array], orientation: Orientation) -> dict[str, Array]:
    return {name: orientation.apply(pixels) for name, pixels in arrays.items()}


def cut(pixels: Array, region: Region, outside: int) -> Array:
    patch = np.full((*region.shape, *pixels.shape[2:]), outside, pixels.dtype)
    inside = region.clipped(pixels.shape[:2])
    patch[inside.relative_to(region).slices] = pixels[inside.slices]
    return patch


def run(stage: Stage, arrays: dict[str, Array], network: BoxNetwork) -> dict[str, Array]:
    """All shards of a stage, put together: what the runner does."""
    grid = CanvasGrid(arrays["image/0"].shape[:2], MPP, (0.0, 0.0), 1.0)
    whole: dict[str, Array] = {}
    for index in product(*map(range, stage.grid_shape(grid))):
        core = stage.core(grid, index)

        def read(name: str, around: Region | None = None, core: Region = core) -> Patch:
            read = next(read for read in stage.reads if read.name == name)
            region = stage.patch_region(read, around or core)
            return Patch(cut(arrays[name], region, read.outside), region)

        for name, pixels in stage.kernel(ShardInput(index, core, read, model=network)).arrays.items():
            full = (*pixels.shape[:-2], *grid.shape_at(stage.downsample))
            whole.setdefault(name, np.zeros(full, pixels.dtype))[(..., *core.slices)] = pixels
    return whole


def segment(
    arrays: dict[str, Array], shard_px: int, patch_px: int, halo_px: int | None = None, **network: bool
) -> dict[str, Array]:
    box = BoxNetwork(lattice_px=8, stride=1, radius_cells=2, **network)
    chosen = card(box, MPP, 16 if halo_px is None else halo_px)
    grid = CanvasGrid(arrays["image/0"].shape[:2], MPP, (0.0, 0.0), 1.0)
    return run(segment_stage(SegmentParams(patch_px=patch_px), chosen, grid, shard_px), arrays, box)


def classify(
    arrays: dict[str, Array],
    shard: int,
    patch: int,
    halo_px: int | None = None,
    stride: int = 16,
    **network: bool,
) -> dict[str, Array]:
    box = BoxNetwork(lattice_px=stride, stride=stride, radius_cells=2, **network)
    chosen = card(box, 2 * MPP, 2 * stride if halo_px is None else halo_px)
    grid = CanvasGrid(arrays["image/0"].shape[:2], MPP, (0.0, 0.0), 1.0)
    params = ClassifyParams.model_construct(
        weights="box", precision="auto", shard_cells=shard, patch_cells=patch
    )
    return run(classify_stage(params, chosen, grid), arrays, box)


def assert_same(one: dict[str, Array], other: dict[str, Array]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@FEW
@given(seeds, sides, sides, st.sampled_from(SEGMENT_SHARDS), st.sampled_from([64, 128]))
def test_segment_does_not_depend_on_the_cut(
    seed: int, height: int, width: int, shard: int, patch: int
) -> None:
    arrays = slide(seed, (height, width))
    assert_same(segment(arrays, shard, patch), segment(arrays, 512, 512))


@FEW
@given(
    seeds,
    sides,
    sides,
    st.sampled_from(CLASSIFY_SHARDS),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([4, 16]),
)
def test_classify_does_not_depend_on_the_cut(
    seed: int, height: int, width: int, shard: int, patch: int, stride: int
) -> None:
    arrays = slide(seed, (height, width))
    assert_same(classify(arrays, shard, patch, stride=stride), classify(arrays, 64, 64, stride=stride))


@FEW
@given(seeds, sides, sides, orientations, st.sampled_from(SEGMENT_SHARDS))
def test_segment_turns_with_the_slide(
    seed: int, height: int, width: int, orientation: Orientation, shard: int
) -> None:
    arrays = slide(seed, (height, width))
    straight = segment(arrays, shard, 64)
    turned_after = {name: orientation.apply(pixels) for name, pixels in straight.items()}
    assert_same(segment(turned(arrays, orientation), shard, 64), turned_after)


@FEW
@given(seeds, sides, sides, orientations, st.sampled_from(CLASSIFY_SHARDS))
def test_classify_turns_with_the_slide(
    seed: int, height: int, width: int, orientation: Orientation, shard: int
) -> None:
    arrays = slide(seed, (height, width))
    straight = classify(arrays, shard, 2)
    turned_after = {name: orientation.apply(pixels, axes=(-2, -1)) for name, pixels in straight.items()}
    assert_same(classify(turned(arrays, orientation), shard, 2), turned_after)


@pytest.mark.parametrize(("stage", "shard", "patch"), [(segment, 64, 64), (classify, 2, 2)])
@pytest.mark.parametrize("broken", [{"halo_px": 0}, {"looks_at_patch": True}])
def test_sister_without_halo_or_with_a_norm_over_the_patch_there_are_seams(
    stage: object, shard: int, patch: int, broken: dict
) -> None:
    arrays = slide(1, (256, 256))
    cut_up, whole = stage(arrays, shard, patch, **broken), stage(arrays, 512, 512, **broken)
    assert any((cut_up[name] != whole[name]).any() for name in whole)


def test_only_tissue_is_computed_and_all_of_it() -> None:
    arrays = slide(2, (192, 256))
    in_tissue = upsampled(arrays[TISSUE] == 1, TISSUE_PX)
    for values in segment(arrays, 128, 64).values():
        np.testing.assert_array_equal(values != NOT_COMPUTED, in_tissue)
    cells = in_tissue.reshape(192 // 32, 32, 256 // 32, 32).any(axis=(1, 3))
    np.testing.assert_array_equal(classify(arrays, 4, 2)[CLASS_MAP] != NOT_COMPUTED, cells)
