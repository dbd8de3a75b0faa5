"""Targets: one peak per nucleus of any size, a valley and extra weight between touching ones."""

import numpy as np
from scipy import ndimage

from wsipipe.geometry import Orientation
from wsipipe.training.sampling.targets import centre_map, target_maps, touching_map


def touching() -> np.ndarray:
    """Two discs of 6 and 9 px radius that touch."""
    y, x = np.mgrid[:32, :48]
    labels = np.zeros((32, 48), np.int32)
    labels[(y - 16) ** 2 + (x - 12) ** 2 <= 36] = 3
    labels[(y - 16) ** 2 + (x - 28) ** 2 <= 81] = 7
    return labels


def test_each_nucleus_peaks_at_one() -> None:
    labels, depth = touching(), centre_map(touching())
    assert [float(depth[labels == one].max()) for one in (3, 7)] == [1, 1]
    assert (depth[labels == 0] == 0).all()
    assert (depth[labels > 0] > 0).all()


def test_a_cut_at_half_parts_touching_nuclei() -> None:
    assert ndimage.label(touching() > 0)[1] == 1
    assert ndimage.label(centre_map(touching()) >= 0.5)[1] == 2


def test_it_commutes_with_the_eight_orientations() -> None:
    for orientation in Orientation:
        turned = centre_map(np.ascontiguousarray(orientation.apply(touching())))
        np.testing.assert_array_equal(orientation.undo(turned), centre_map(touching()))


def test_only_gaps_between_two_nuclei_count_as_touching() -> None:
    labels = np.zeros((20, 40), np.int32)
    labels[5:15, 2:10], labels[5:15, 12:20], labels[5:15, 30:38] = 4, 9, 2
    gaps = touching_map(labels, 2)
    assert gaps[10, 10:12].all()
    assert not gaps[:, 20:].any()
    assert not gaps[10, 2:8].any()


def test_touching_commutes_with_the_eight_orientations() -> None:
    for orientation in Orientation:
        turned = touching_map(np.ascontiguousarray(orientation.apply(touching())), 3)
        np.testing.assert_array_equal(orientation.undo(turned), touching_map(touching(), 3))


def test_where_instances_are_not_known_only_the_outside_of_nuclei_is() -> None:
    maps = target_maps(touching(), False, 0.5)
    assert not maps[..., 1:3].any()
    np.testing.assert_array_equal(maps[..., 3] == 0, touching() > 0)
    assert target_maps(touching(), True, 0.5)[..., 3].all()
