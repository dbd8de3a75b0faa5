import numpy as np

from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.seeds import find_seeds

PARAMS = InstanceParams()


def find(nucleus: list[list[int]], centre: list[list[int]]):
    return find_seeds(np.array(nucleus, np.uint8), np.array(centre, np.uint8), PARAMS)


def test_seeds_come_first_then_the_rest_of_each_component():
    labels, table = find([[200, 200, 0, 130], [0, 0, 0, 140]], [[125, 0, 200, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(labels, [[1, 2, 0, 3], [0, 0, 0, 3]])
    assert labels.dtype == np.uint32
    np.testing.assert_array_equal(table["foreground"], [0, 2, 2, 3])
    np.testing.assert_array_equal(table["area"], [0, 1, 1, 2])
    np.testing.assert_array_equal(table["nucleus"], [0, 200, 200, 270])
    np.testing.assert_array_equal(table["centre"], [0, 125, 0, 0])
    np.testing.assert_array_equal(table["right"], [3, 3])
    np.testing.assert_array_equal(table["bottom"], [0, 0, 0, 3])


def test_what_was_not_computed_is_never_foreground_and_never_seed():
    labels, _ = find([[254, 255, 250, 250]], [[250, 250, 254, 250]])
    np.testing.assert_array_equal(labels, [[0, 0, 2, 1]])


def test_corners_do_not_join():
    labels, _ = find([[250, 0], [0, 250]], [[0, 0], [0, 0]])
    np.testing.assert_array_equal(labels, [[1, 0], [0, 2]])


def test_the_table_is_storable(tmp_path):
    _, table = find([[250]], [[250]])
    np.savez(tmp_path / "a.npz", **table)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert set(stored) == set(table)
