"""The centre map: one peak a nucleus, whatever its size, and a valley between touching ones."""

import numpy as np
from scipy import ndimage

from wsipipe.geometry import Orientation
from wsipipe.training.targets import centre_map


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
