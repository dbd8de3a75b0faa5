"""Sums of types, exact in all orientations; ties and nuclei without probabilities."""

import numpy as np
import pytest

from wsipipe.geometry import Orientation
from wsipipe.stages.nuclei.types import type_sums, types_of
from wsipipe.store.encoding import NOT_COMPUTED

LABELS = np.array([[1, 1, 0, 2], [1, 0, 2, 2], [3, 0, 0, 4]])
NAMES = ("a", "b")


def maps() -> np.ndarray:
    stored = np.full((2, 3, 4), NOT_COMPUTED, np.uint8)
    stored[0, LABELS == 1], stored[1, LABELS == 1] = (100, 200, 0), (150, 50, 250)
    stored[:, LABELS == 2] = 125
    stored[0, LABELS == 3], stored[1, LABELS == 3] = 250, 0
    return stored


def test_sums_and_shares_are_those_of_the_pixels() -> None:
    sums = type_sums(LABELS, maps(), 4)
    assert sums.tolist() == [[300, 375, 250, 0], [450, 375, 0, 0]]
    names, share = types_of(sums, NAMES)
    assert names == ["b", "a", "a", None]
    assert share[:3].tolist() == [0.6, 0.5, 1.0]
    assert np.isnan(share[3])


@pytest.mark.parametrize("orientation", list(Orientation))
def test_turned_maps_have_the_same_sums(orientation: Orientation) -> None:
    rng = np.random.default_rng(0)
    labels, stored = rng.integers(0, 6, (30, 50)), rng.integers(0, 251, (4, 30, 50)).astype(np.uint8)
    turned = np.stack([orientation.apply(each) for each in stored])
    found = type_sums(np.ascontiguousarray(orientation.apply(labels)), turned, 5)
    assert (found == type_sums(labels, stored, 5)).all()
    stored[1, labels == 3] //= 2
    assert (found != type_sums(labels, stored, 5)).any()
