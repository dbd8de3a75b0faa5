"""Gaps are bridged along 16 directions, the same in all orientations."""

import numpy as np
import pytest

from wsipipe.geometry import Orientation
from wsipipe.stages.quality.bridges import bridged, directions


def test_only_gaps_up_to_the_reach_are_bridged() -> None:
    mask = np.zeros((5, 12), bool)
    mask[2, [2, 7]] = True
    expected = mask.copy()
    expected[2, 2:8] = True
    assert (bridged(mask, 5) == expected).all()
    # The sister: one px less, and the two are apart.
    assert (bridged(mask, 4) == mask).all()


def test_a_slanting_gap_is_bridged() -> None:
    mask = np.zeros((9, 9), bool)
    mask[[1, 7], [1, 7]] = True
    assert bridged(mask, 9)[np.arange(1, 8), np.arange(1, 8)].all()


def test_lines_run_in_16_directions_that_map_onto_each_other() -> None:
    lines = [frozenset([*line, *((-y, -x) for y, x in line)]) for line in directions(24)]
    assert len(lines) == len({*lines}) == 16
    assert {frozenset((x, -y) for y, x in line) for line in lines} == {*lines}
    assert {frozenset((y, -x) for y, x in line) for line in lines} == {*lines}


@pytest.mark.parametrize("turned", Orientation)
def test_bridges_commute_with_the_eight_orientations(turned: Orientation) -> None:
    mask = np.random.default_rng(1).random((40, 60)) < 0.01
    found = bridged(mask, 12)
    assert found.sum() > mask.sum()
    assert (bridged(np.ascontiguousarray(turned.apply(mask)), 12) == turned.apply(found)).all()


def test_nothing_stays_nothing() -> None:
    assert not bridged(np.zeros((4, 4), bool), 25).any()
