"""A change says exactly what differs, can be put on and taken off anywhere, and survives the journal."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsipipe.errors import StorageError
from wsipipe.geometry import Region
from wsipipe.review.journal.pixel_diff import change_between, change_from

pixels = arrays(np.uint32, (9, 13), elements=st.sampled_from([0, 1, 2, 2**23 + 1, 2**32 - 1]))
places = st.builds(Region, st.integers(-4, 12), st.integers(-4, 12), st.integers(1, 9), st.integers(1, 9))
HERE = Region(3, 5, 9, 13)


@settings(deadline=None, max_examples=60)
@given(before=pixels, after=pixels)
def test_putting_on_gives_after_and_taking_off_gives_before(before, after) -> None:
    change = change_between("nuclei", HERE, before, after)
    if change is None:
        assert (before == after).all()
        return
    again = change_from(json.loads(json.dumps(change.as_dict())))
    found = before.copy()
    again.put(found, HERE)
    np.testing.assert_array_equal(found, after)
    again.put(found, HERE, back=True)
    np.testing.assert_array_equal(found, before)
    assert change.pixels == (before != after).sum()
    for value, gained in change.areas.items():
        assert gained == (after == value).sum() - (before == value).sum()


@settings(deadline=None, max_examples=60)
@given(before=pixels, after=pixels, part=places)
def test_a_part_of_the_change_is_the_change_of_the_part(before, after, part) -> None:
    change = change_between("nuclei", HERE, before, after)
    if change is None:
        return
    both = []
    for state in (before, after):
        padded = np.zeros((40, 40), np.uint32)
        padded[10 + HERE.y : 10 + HERE.end_y, 10 + HERE.x : 10 + HERE.end_x] = state
        both.append(padded[10 + part.y : 10 + part.end_y, 10 + part.x : 10 + part.end_x].copy())
    change.put(both[0], part)
    np.testing.assert_array_equal(both[0], both[1])


def test_a_large_nucleus_costs_little() -> None:
    before = np.zeros((400, 400), np.uint32)
    y, x = np.mgrid[:400, :400]
    after = np.where((y - 200) ** 2 + (x - 200) ** 2 < 150**2, np.uint32(7), before)
    change = change_between("nuclei", Region(0, 0, 400, 400), before, after)
    assert change is not None
    assert change.pixels > 70_000
    assert len(json.dumps(change.as_dict())) < 4000


def test_what_does_not_decode_is_refused() -> None:
    with pytest.raises(StorageError, match="does not decode"):
        change_from({"array": "nuclei", "box": [0, 0, 1, 1], "runs": "nonsense"})
