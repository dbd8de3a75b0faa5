"""A diff is exact, can be applied and reverted on any region, and survives the journal."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsipipe.errors import StorageError
from wsipipe.geometry import Region
from wsipipe.review.journal.pixel_diff import diff_between, diff_from

pixels = arrays(np.uint32, (9, 13), elements=st.sampled_from([0, 1, 2, 2**23 + 1, 2**32 - 1]))
places = st.builds(Region, st.integers(-4, 12), st.integers(-4, 12), st.integers(1, 9), st.integers(1, 9))
HERE = Region(3, 5, 9, 13)


@settings(deadline=None, max_examples=60)
@given(before=pixels, after=pixels)
def test_putting_on_gives_after_and_taking_off_gives_before(before, after) -> None:
    diff = diff_between("nuclei", HERE, before, after)
    if diff is None:
        assert (before == after).all()
        return
    again = diff_from(json.loads(json.dumps(diff.as_dict())))
    found = before.copy()
    again.apply(found, HERE)
    np.testing.assert_array_equal(found, after)
    again.apply(found, HERE, revert=True)
    np.testing.assert_array_equal(found, before)
    assert diff.pixels == (before != after).sum()
    for value, gained in diff.px_gained.items():
        assert gained == (after == value).sum() - (before == value).sum()


@settings(deadline=None, max_examples=60)
@given(before=pixels, after=pixels, part=places)
def test_a_part_of_the_change_is_the_change_of_the_part(before, after, part) -> None:
    diff = diff_between("nuclei", HERE, before, after)
    if diff is None:
        return
    both = []
    for state in (before, after):
        padded = np.zeros((40, 40), np.uint32)
        padded[10 + HERE.y : 10 + HERE.end_y, 10 + HERE.x : 10 + HERE.end_x] = state
        both.append(padded[10 + part.y : 10 + part.end_y, 10 + part.x : 10 + part.end_x].copy())
    diff.apply(both[0], part)
    np.testing.assert_array_equal(both[0], both[1])


def test_a_large_nucleus_costs_little() -> None:
    before = np.zeros((400, 400), np.uint32)
    y, x = np.mgrid[:400, :400]
    after = np.where((y - 200) ** 2 + (x - 200) ** 2 < 150**2, np.uint32(7), before)
    diff = diff_between("nuclei", Region(0, 0, 400, 400), before, after)
    assert diff is not None
    assert diff.pixels > 70_000
    assert len(json.dumps(diff.as_dict())) < 4000


def test_what_does_not_decode_is_refused() -> None:
    with pytest.raises(StorageError, match="does not decode"):
        diff_from({"array": "nuclei", "box": [0, 0, 1, 1], "runs": "nonsense"})
