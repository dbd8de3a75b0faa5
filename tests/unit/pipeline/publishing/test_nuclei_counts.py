"""Counts by type and intensity, with nuclei that have neither."""

import pyarrow as pa

from wsipipe.pipeline.publishing.nuclei_counts import count_positivity, count_types


def test_types_are_counted_also_where_there_are_none() -> None:
    types = pa.chunked_array([["a", None, "a"], ["b"]])
    assert count_types(types, ["b", "c", "a"]) == {"b": 1, "c": 0, "a": 2}
    assert list(count_types(types, ["b", "a"])) == ["b", "a"]


def test_positivity_is_a_share_of_the_measured_nuclei() -> None:
    found = count_positivity(pa.chunked_array([pa.array([0, 0, 1, 3, None], pa.uint8())]))
    assert found.counts.tolist() == [2, 1, 0, 1]
    assert (found.percent, found.score) == (50, 100)


def test_without_nuclei_there_is_no_share() -> None:
    found = count_positivity(pa.chunked_array([pa.array([None], pa.uint8())]))
    assert found.counts.tolist() == [0, 0, 0, 0]
    assert found.percent is None
    assert found.score is None
