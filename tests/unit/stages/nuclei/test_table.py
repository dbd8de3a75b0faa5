from itertools import product

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wsipipe.errors import InternalError
from wsipipe.geometry import Array, Region
from wsipipe.stages.nuclei.number import nuclei_in, patch_of
from wsipipe.stages.nuclei.positivity import MeasureParams
from wsipipe.stages.nuclei.table import TissueMap, measure
from wsipipe.store.nuclei_table import SCHEMA, STAINS, TEXTURE
from wsipipe.store.tables import Table

LABELS = np.zeros((12, 20), np.uint32)
LABELS[1:4, 2:8] = 1
LABELS[2:9, 8:12] = 2
LABELS[6:9, 1:4] = 3


def rows_of(labels: Array) -> Table:
    """The nuclei table that the pipeline gives for such labels, every px of probability 0.8."""
    places = [np.argwhere(labels == number) for number in range(1, labels.max() + 1)]
    columns = {"id": lambda p: labels[tuple(p[0])], "area": len, "nucleus": lambda p: 200 * len(p)}
    columns |= {"min_y": lambda p: p[:, 0].min(), "max_y": lambda p: p[:, 0].max()}
    columns |= {
        "min_x": lambda p: p[:, 1].min(),
        "max_x": lambda p: p[:, 1].max(),
        "first_x": lambda p: p[0, 1],
    }
    return {name: np.array([value(place) for place in places]) for name, value in columns.items()}


def whole(**options: object):
    return measure(LABELS, rows_of(LABELS), Region(0, 0, 12, 20), (100.0, 200.0, 2.0), 0.5, **options)


def test_a_rectangle_is_measured_in_um_and_level_0_px():
    row = whole().to_pylist()[0]
    assert row["id"] == 1
    assert (row["centroid_y_px0"], row["centroid_x_px0"]) == (100 + 2 * 2.5, 200 + 2 * 5.0)
    assert (row["centroid_y_um"], row["centroid_x_um"]) == (105 / 4, 210 / 4)
    assert row["area_um2"] == 18 / 4
    assert row["probability"] == pytest.approx(0.8)
    assert row["solidity"] == 1
    assert row["major_axis_um"] == pytest.approx(4 * np.sqrt(36 / 12) / 2)
    polygon = shapely.from_wkb(row["polygon"])
    assert polygon.bounds == (204, 102, 216, 108)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(20, 70))
def test_measured_by_shards_the_table_is_the_same_to_the_last_bit(seed, shard_px):
    labels, _ = ndimage.label(
        ndimage.gaussian_filter(np.random.default_rng(seed).random((80, 70)), 1.5) > 0.52
    )
    merged, affine = rows_of(labels), (3.5, 1.25, 1.98)
    whole_map = measure(labels, merged, Region(0, 0, 80, 70), affine, 0.4951)
    parts = []
    for y, x in product(range(0, 80, shard_px), range(0, 70, shard_px)):
        rows = nuclei_in(merged, Region(y, x, shard_px, shard_px))
        patch = patch_of(rows)
        parts.append(measure(labels[patch.slices], rows, patch, affine, 0.4951))
    assert pa.concat_tables(parts).sort_by("id").equals(whole_map)


def test_a_nucleus_cut_by_the_patch_is_a_defect():
    patch = Region(0, 0, 12, 7)
    with pytest.raises(InternalError, match="Nucleus 1 has 18 px"):
        measure(LABELS[patch.slices], nuclei_in(rows_of(LABELS), patch), patch, (0.0, 0.0, 1.0), 0.5)


def test_without_image_and_classes_those_columns_are_null():
    table = whole()
    assert table.schema == SCHEMA
    assert table["mean_red"].null_count == table["tissue_class"].null_count == 3
    assert all(table[name].null_count == 3 for name in (*STAINS, *TEXTURE))


def test_image_and_class_map_fill_their_columns():
    image = np.broadcast_to(np.array([10, 20, 30], np.uint8), (12, 20, 3))
    classes = np.array([[4, 255]], np.uint8)
    table = whole(image=image, tissue=TissueMap(classes, {4: "STR"}, (100.0, 200.0, 16.0)))
    assert table["mean_blue"].to_pylist() == [30] * 3
    assert table["grey_std"].to_pylist() == table["grey_contrast"].to_pylist() == [0] * 3
    assert table["grey_correlation"].null_count == 3
    with_dab = whole(image=image, positivity=MeasureParams(positivity=True))
    assert with_dab["eosin_od_mean"].null_count == table["haematoxylin_od_mean"].null_count + 3 == 3
    assert with_dab["haematoxylin_od_mean"] != table["haematoxylin_od_mean"]
    assert table["tissue_class"].to_pylist() == ["STR", None, "STR"]


def test_no_rows_give_an_empty_table():
    rows = nuclei_in(rows_of(LABELS), Region(50, 0, 1, 1))
    table = measure(LABELS[:0, :0], rows, patch_of(rows), (0.0, 0.0, 1.0), 0.5)
    assert table.num_rows == 0
    assert table.schema == SCHEMA
