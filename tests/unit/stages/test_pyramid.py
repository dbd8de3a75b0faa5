"""Levels turn with the slide, and no label is ever invented."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Array, Orientation, Region
from wsipipe.stages.pyramid import level_count, mode_of_four, pyramid_stage
from wsipipe.stages.stage import Patch, ShardInput, Write

FEW = settings(max_examples=60, deadline=None)
even = st.integers(1, 6).map(lambda side: 2 * side)
shapes = st.tuples(even, even)
few_ids = st.sampled_from([0, 1, 2, 7, 255, 2**31 - 1])
labels = hnp.arrays(np.uint32, shapes, elements=few_ids)
orientations = st.sampled_from(list(Orientation))


@FEW
@given(labels, orientations)
def test_modes_turn_with_the_slide(ids: Array, orientation: Orientation) -> None:
    np.testing.assert_array_equal(mode_of_four(orientation.apply(ids)), orientation.apply(mode_of_four(ids)))


def test_sister_one_corner_of_four_does_not_turn() -> None:
    ids = np.arange(4).reshape(2, 2)
    assert Orientation.R90.apply(ids)[::2, ::2] != ids[::2, ::2]


@FEW
@given(labels)
def test_the_mode_is_the_commonest_and_the_largest_of_those(ids: Array) -> None:
    found = mode_of_four(ids)
    assert found.dtype == ids.dtype
    for y, x in np.ndindex(found.shape):
        values, counts = np.unique(ids[2 * y : 2 * y + 2, 2 * x : 2 * x + 2], return_counts=True)
        assert found[y, x] == values[counts == counts.max()].max()


def test_sister_interpolation_invents_ids() -> None:
    ids = np.array([[7, 7], [255, 255]], np.uint8)
    assert block_mean(ids) not in ids
    assert mode_of_four(ids) in ids


def test_an_image_is_read_and_written_with_its_channels_first() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (3, 4, 6), np.uint8)
    stage = pyramid_stage(Write("image/0", "image", "uint8", 255), 1, 1, 64)
    patch = Patch(picture, Region(0, 0, 4, 6))
    output = stage.kernel(ShardInput((0, 0), Region(0, 0, 2, 3), lambda name, around=None: patch))
    assert stage.reads[0].channels_first
    for before, after in zip(picture, output.arrays["image/1"], strict=True):
        np.testing.assert_array_equal(after, block_mean(before))


@pytest.mark.parametrize(("side", "levels"), [(64, 1), (1024, 1), (1088, 2), (2048, 2), (100_032, 8)])
def test_the_last_level_fits_a_screen(side: int, levels: int) -> None:
    assert level_count((side, 64)) == levels
    assert side / 2 ** (levels - 1) <= 1024


def test_a_stage_reads_the_level_before() -> None:
    stage = pyramid_stage(Write("labels/nuclei/0", "label", "uint32", 0), 2, 1, 64)
    assert (stage.reads[0].name, stage.writes[0].name) == ("labels/nuclei/1", "labels/nuclei/2")
    assert (stage.reads[0].downsample, stage.downsample) == (2, 4)
    core = Region(0, 0, 2, 3)
    finer = np.arange(24, dtype=np.uint32).reshape(4, 6)
    region = stage.patch_region(stage.reads[0], core)
    output = stage.kernel(ShardInput((0, 0), core, lambda name, around=None: Patch(finer, region)))
    np.testing.assert_array_equal(output.arrays["labels/nuclei/2"], mode_of_four(finer))
