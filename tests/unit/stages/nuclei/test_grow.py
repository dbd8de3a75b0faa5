import numpy as np

from wsipipe.geometry import Region
from wsipipe.stages.nuclei.grow import grow_instances


def grow(seeds: list[list[int]], rank: list[int], steps: int, foreground: int = 9):
    """One shard; the value ``foreground`` is foreground without seed."""
    labels = np.array(seeds, np.uint32)
    seed = np.arange(foreground + 1, dtype=np.uint32)
    seed[foreground] = 0
    ranks = np.zeros(foreground + 1, np.uint32)
    ranks[: len(rank)] = rank
    starts = np.full((3, 3), -1)
    starts[1, 1] = 0
    region = Region(0, 0, *labels.shape)
    tables = {"seed": seed, "rank": ranks, "starts": starts}
    return grow_instances(labels, np.full(labels.shape, 200, np.uint8), region, region, tables, steps)


def test_growth_stops_after_its_steps_and_at_background():
    grown, _ = grow([[1, 9, 9, 9, 0, 9]], [0, 1], steps=2)
    np.testing.assert_array_equal(grown, [[1, 1, 1, 0, 0, 0]])


def test_the_higher_rank_takes_a_contested_pixel():
    np.testing.assert_array_equal(grow([[1, 9, 2]], [0, 2, 1], steps=3)[0], [[1, 1, 2]])
    np.testing.assert_array_equal(grow([[1, 9, 2]], [0, 1, 2], steps=3)[0], [[1, 2, 2]])


def test_a_tie_is_background_and_lets_nobody_pass():
    grown, _ = grow([[1, 9, 2], [0, 9, 0], [0, 9, 0]], [0, 5, 5], steps=3)
    np.testing.assert_array_equal(grown, [[1, 0, 2], [0, 0, 0], [0, 0, 0]])


def test_a_third_seed_settles_a_tie_only_from_above():
    tied = [[1, 9, 2], [0, 3, 0]]
    assert grow(tied, [0, 5, 5, 6], steps=1)[0][0, 1] == 3
    assert grow(tied, [0, 5, 5, 4], steps=1)[0][0, 1] == 0


def test_sums_are_of_the_core_in_slide_px():
    labels = np.array([[0, 0, 7, 7], [7, 7, 7, 0]], np.uint32)
    seed = np.where(np.arange(8) == 7, 40, 0).astype(np.uint32)
    starts = np.full((3, 3), -1)
    starts[1, 1] = starts[1, 0] = 0
    tables = {"seed": seed, "rank": np.ones(8, np.uint32), "starts": starts}
    core = Region(10, 101, 2, 3)
    nucleus = np.array([[0, 3, 4], [5, 6, 0]], np.uint8)
    grown, table = grow_instances(labels, nucleus, core, Region(10, 100, 2, 4), tables, 1)
    np.testing.assert_array_equal(grown, [[0, 40, 40], [40, 40, 0]])
    expected = {"seed": 40, "area": 4, "nucleus": 18, "first_x": 102}
    expected |= {"min_y": 10, "max_y": 11, "min_x": 101, "max_x": 103}
    assert {name: values.tolist() for name, values in table.items()} == {k: [v] for k, v in expected.items()}


def test_a_patch_may_reach_beyond_the_slide():
    labels = np.pad(np.array([[1, 9]], np.uint32), 2)
    starts = np.full((3, 3), -1)
    starts[1, 1] = 0
    seed = np.array([0, 1] + [0] * 8, np.uint32)
    tables = {"seed": seed, "rank": seed, "starts": starts}
    core = Region(0, 0, 1, 2)
    grown, _ = grow_instances(labels, np.zeros((1, 2), np.uint8), core, core.grown(2), tables, 2)
    np.testing.assert_array_equal(grown, [[1, 1]])
