"""Folds: no group is split, every sample is held out once, and counts are spread evenly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.errors import ConfigError
from wsipipe.training.folds import deal


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=10, max_size=60), st.integers(2, 4), st.integers(0, 9))
def test_a_group_is_in_one_fold_and_the_order_does_not_matter(
    members: list[int], folds: int, seed: int
) -> None:
    names = [f"g{member}" for member in [*members, *range(10)]]
    counts = np.ones((len(names), 1))
    fold_of = deal(names, counts, folds)
    by_group = {name: set(fold_of[[n == name for n in names]].tolist()) for name in names}
    assert all(len(found) == 1 for found in by_group.values())
    assert set(fold_of.tolist()) == set(range(folds))
    order = np.random.default_rng(seed).permutation(len(names))
    again = deal([names[index] for index in order], counts, folds)
    np.testing.assert_array_equal(again, fold_of[order])


def test_each_class_is_spread() -> None:
    classes = np.arange(350) % 7
    fold_of = deal([str(index) for index in range(350)], np.eye(7)[classes], 5)
    for label in range(7):
        assert np.bincount(fold_of[classes == label]).tolist() == [10] * 5


def test_fewer_groups_than_folds_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"5 folds .* 2 groups \(a, b\)"):
        deal(["a", "b", "a"], np.ones((3, 1)), 5)
