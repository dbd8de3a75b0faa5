"""Nuclei and their regions of interest."""

from pathlib import Path

import numpy as np
import shapely

from wsipipe.store.regions import published_regions, region_column, within_regions, write_regions

REGIONS = {
    "large": shapely.box(0, 0, 100, 100),
    "small": shapely.box(10, 20, 30, 40),
    "other": shapely.box(90, 90, 150, 150),
}
CENTROIDS = np.array([[30.0, 20.0], [50.0, 50.0], [95.0, 95.0], [200.0, 50.0], [0.0, 50.0], [20.0, 30.0]])


def test_each_nucleus_has_the_smallest_region_around_it() -> None:
    found = region_column(REGIONS, CENTROIDS).to_pylist()
    # The fifth lies on an outline, the last would lie inside with y and x exchanged.
    assert found == ["small", "large", "other", None, None, "large"]
    assert region_column({}, CENTROIDS).to_pylist() == [None] * 6
    assert region_column(REGIONS, np.empty((0, 2))).to_pylist() == []


def test_a_region_counts_what_lies_in_smaller_ones_too() -> None:
    assert within_regions(REGIONS, CENTROIDS)["large"].tolist() == [True, True, True, False, False, True]


def test_published_regions_are_those_given(tmp_path: Path) -> None:
    assert published_regions(tmp_path) == {}
    write_regions(tmp_path, REGIONS)
    found = published_regions(tmp_path)
    assert list(found) == list(REGIONS)
    assert all(shapely.equals(found[name], polygon) for name, polygon in REGIONS.items())
