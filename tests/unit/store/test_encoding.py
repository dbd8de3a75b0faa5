"""Stored probabilities: what fits, what is marked."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX, UNREADABLE, dequantise, quantise


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_probability_comes_back_within_half_a_step(values: list[float]) -> None:
    probability = np.array(values, np.float32)
    assert np.abs(dequantise(quantise(probability)) - probability).max() <= 0.5 / PROBABILITY_MAX + 1e-6


def test_no_probability_is_stored_as_a_mark() -> None:
    stored = quantise(np.array([-1, 0, 1, 7, np.inf, np.nan], np.float32))
    assert stored.tolist() == [0, 0, 250, 250, 250, 0]
    assert stored.dtype == np.uint8


def test_marks_come_back_as_nan() -> None:
    assert np.isnan(dequantise(np.array([UNREADABLE, NOT_COMPUTED], np.uint8))).all()
