import numpy as np

from wsipipe.geometry import Region
from wsipipe.stages.nuclei.number import merge_instances, nuclei_in, patch_of
from wsipipe.stages.nuclei.params import InstanceParams

PARAMS = InstanceParams(min_area_um2=2, max_area_um2=50)
NAMES = ("seed", "area", "nucleus", "min_y", "max_y", "min_x", "max_x", "first_x")


def partial(*rows: tuple[int, ...]):
    return dict(zip(NAMES, np.array(rows).reshape(-1, len(NAMES)).T, strict=True))


def merged():
    left = partial((1, 3, 600, 0, 1, 5, 7, 6), (2, 4, 800, 3, 9, 0, 7, 2), (3, 1, 9, 0, 0, 0, 0, 0))
    right = partial((1, 2, 300, 0, 2, 8, 8, 8), (4, 99, 0, 0, 9, 9, 20, 9), (5, 2, 2, 0, 0, 30, 31, 30))
    return merge_instances([right, left], 6, 1.0, PARAMS)


def test_nuclei_of_several_shards_become_one_row():
    table = merged()
    first = {name: int(table[name][0]) for name in NAMES[1:]}
    assert first == dict(zip(NAMES[1:], (5, 900, 0, 2, 5, 8, 6), strict=True))


def test_ids_follow_the_first_pixel_and_what_is_too_small_or_large_is_dropped():
    table = merged()
    np.testing.assert_array_equal(table["final"], [0, 1, 3, 0, 0, 2, 0])
    assert table["final"].dtype == np.uint32
    np.testing.assert_array_equal(table["id"], [1, 2, 3])


def test_each_nucleus_has_one_core_and_its_patch_holds_it():
    table = merged()
    left, right = (nuclei_in(table, core) for core in (Region(0, 0, 10, 8), Region(0, 8, 10, 30)))
    np.testing.assert_array_equal(left["id"], [1, 3])
    np.testing.assert_array_equal(right["id"], [2])
    assert patch_of(left) == Region(0, 0, 10, 9)
    assert patch_of(nuclei_in(table, Region(90, 0, 5, 5))) == Region(0, 0, 0, 0)


def test_no_partials_give_no_nuclei():
    table = merge_instances([], 0, 1.0, PARAMS)
    np.testing.assert_array_equal(table["final"], [0])
    assert table["id"].size == 0
