import numpy as np

from wsipipe.stages.nuclei.relabel import relabel


def test_seed_numbers_become_ids():
    labels = relabel(np.array([[0, 1, 2], [3, 3, 0]], np.uint32), np.array([0, 2, 0, 1], np.uint32))
    np.testing.assert_array_equal(labels, [[0, 2, 0], [1, 1, 0]])
    assert labels.dtype == np.uint32
