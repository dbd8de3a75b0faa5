"""Neighbours of nuclei: exact values, the same in every orientation."""

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.store.geoparquet import with_columns
from wsipipe.store.neighbours import RADII_UM, measure_neighbours
from wsipipe.store.nuclei_table import SCHEMA, published_schema

PLAIN = (0.0, 0.0, 1.0)


def test_distances_and_counts() -> None:
    # 0.5 um/px: the second is 24 um from the first, the third 25 um, the fourth 50 um and a little.
    centroids = np.array([[10.0, 10.0], [58.0, 10.0], [10.0, 60.0], [10.0, 110.5]])
    found = measure_neighbours(centroids, PLAIN, mpp=0.5)
    np.testing.assert_array_equal(found["nearest_nucleus_um"], np.float32([24, 24, 25, 25.25]))
    np.testing.assert_array_equal(found["nuclei_within_25_um"], [2, 1, 1, 0])
    np.testing.assert_array_equal(found["nuclei_within_50_um"], [2, 2, 3, 1])


@pytest.mark.parametrize("count", [0, 1])
def test_an_only_nucleus_has_no_neighbour(count: int) -> None:
    found = measure_neighbours(np.ones((count, 2)), PLAIN, mpp=0.5)
    assert found["nearest_nucleus_um"].to_pylist() == [None] * count
    assert all(found[f"nuclei_within_{radius}_um"].to_pylist() == [0] * count for radius in RADII_UM)


@given(
    st.lists(
        st.tuples(st.integers(1, 4000), st.integers(0, 10**7), st.integers(0, 10**7)), min_size=2, max_size=30
    )
)
def test_a_turned_slide_has_the_same_neighbours(nuclei: list[tuple[int, int, int]]) -> None:
    """Centroids are fractions of sums and areas, so those of a mirrored slide round differently."""
    side = 50_000
    area, y, x = (np.array(values, float) for values in zip(*nuclei, strict=True))
    plain = np.stack([y / area + 0.5, x / area + 0.5], axis=1)
    mirrored = np.stack([(side * area - y) / area - 0.5, x / area + 0.5], axis=1)[:, ::-1]
    found, turned = (
        measure_neighbours(7.25 + 2 * each, (7.25, 7.25, 2.0), 0.25) for each in (plain, mirrored)
    )
    for name, values in found.items():
        np.testing.assert_array_equal(values, turned[name])


def test_sister_centroids_that_are_not_rounded_differ_when_turned() -> None:
    y = np.arange(1, 2000) / 3
    assert (np.diff(50_000 - y) != -np.diff(y)).any()


def test_columns_stand_before_the_polygon() -> None:
    ids = np.arange(1, 6)
    columns = {name: pa.nulls(5, SCHEMA.field(name).type) for name in SCHEMA.names}
    columns |= {"id": pa.array(ids, pa.uint32()), "polygon": shapely.to_wkb(shapely.box(ids, 0, ids + 1, 1))}
    table = pa.table(columns, schema=SCHEMA)
    measured = measure_neighbours(np.stack([10.0 * ids, 0 * ids], axis=1), PLAIN, 1.0)
    measured["region"] = pa.array(["a", None, None, "b", "b"])
    joined = pa.concat_tables(with_columns([table.slice(0, 2), table.slice(2)], measured))
    assert joined.schema.names == published_schema(SCHEMA).names
    assert joined["nuclei_within_25_um"].to_pylist() == [2, 3, 4, 3, 2]
    assert joined["region"].to_pylist() == ["a", None, None, "b", "b"]
    assert joined["nearest_nucleus_um"].to_pylist() == [10.0] * 5
