"""Targets: one peak a nucleus, whatever its size, a valley and extra weight between touching ones."""

import numpy as np
import pytest
from scipy import ndimage

from wsipipe.geometry import Orientation
from wsipipe.training import targets
from wsipipe.training.targets import centre_map, target_maps, touching_map


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


def merged() -> np.ndarray:
    """Foreground of the two touching discs, one disc of 6 px radius alone, and a speck."""
    y, x = np.mgrid[:32, :80]
    foreground = (y - 16) ** 2 + (x - 62) ** 2 <= 36
    foreground[:, :48] |= touching() > 0
    foreground[2, 76] = True
    return foreground.astype(np.int32)


def test_where_touching_nuclei_are_merged_only_lone_ones_have_a_known_centre() -> None:
    foreground = merged()
    maps = target_maps(foreground, False, 0.5)
    lone = np.zeros_like(foreground, bool)
    lone[:, 50:74] = foreground[:, 50:74] > 0
    np.testing.assert_array_equal(maps[..., 0], foreground)
    np.testing.assert_array_equal(maps[..., 1] > 0, lone)
    np.testing.assert_array_equal(maps[..., 3] == 0, (foreground > 0) & ~lone)
    assert not maps[..., 2].any()


def test_where_instances_are_known_every_centre_is() -> None:
    maps = target_maps(touching(), True, 0.5)
    assert maps[..., 3].all()
    np.testing.assert_array_equal(maps[..., 1] > 0, touching() > 0)


def test_pieces_in_one_are_taken_for_one_nucleus_if_waists_are_overlooked() -> None:
    """The sister: without the law of the waist two touching nuclei would be learnt as one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "LONE_SOLIDITY", 0.0)
        assert target_maps(merged(), False, 0.5)[16, 20, 3]
    assert not target_maps(merged(), False, 0.5)[16, 20, 3]
