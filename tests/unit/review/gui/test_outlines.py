"""Outlines keep their place and their thickness on every level."""

import numpy as np
import pytest

from wsipipe.geometry import Region
from wsipipe.review.gui.outlines import (
    RIM_NUMBER,
    class_numbers,
    class_outlines,
    finer_factors,
    outline_levels,
    outlines_placed,
)
from wsipipe.review.gui.reference import MOST_READ_PX, coarse


def labels() -> np.ndarray:
    found = np.zeros((16, 20), np.uint32)
    found[3:9, 4:10], found[3:9, 10:15] = 7, 9
    return found


def padded(array: np.ndarray):
    """Function that reads a region of an array, which may extend beyond it."""

    def read(region: Region) -> np.ndarray:
        found = np.zeros(region.shape, array.dtype)
        inside = region.clipped(array.shape)
        found[inside.relative_to(region).slices] = array[inside.slices]
        return found

    return read


def numbers(ids: np.ndarray) -> np.ndarray:
    return np.where(ids == 7, 1, 2)


def test_a_line_of_two_px_with_a_rim() -> None:
    level = class_outlines((16, 20), padded(labels()), numbers, um_per_px=0.5)
    row = level[5, :].tolist()
    assert row == [0, 0, 0, RIM_NUMBER, 1, 1, 0, 0, 1, 1, 2, 2, 0, 2, 2, RIM_NUMBER, 0, 0, 0, 0]


def test_far_out_there_is_no_rim_and_close_up_the_line_is_three_px() -> None:
    far = class_outlines((16, 20), padded(labels()), numbers, um_per_px=1.0)
    assert far[5, :].tolist()[2:6] == [0, 0, 1, 0]
    close = class_outlines((32, 40), padded(labels()), numbers, um_per_px=0.125, times=2)
    assert close[10, :].tolist()[5:14] == [0, 0, RIM_NUMBER, 1, 1, 1, 0, 0, 0]
    # A window is the same as that part of all.
    np.testing.assert_array_equal(close[3:17, 5:22], close[:, :][3:17, 5:22])


def test_hidden_classes_have_neither_line_nor_rim() -> None:
    level = class_outlines((16, 20), padded(labels()), lambda ids: np.where(ids == 7, 1, 0), um_per_px=0.5)
    row = level[5, :].tolist()
    assert row[3:11] == [RIM_NUMBER, 1, 1, 0, 0, 1, 1, RIM_NUMBER]
    assert not any(row[11:])


@pytest.mark.parametrize("high", [12, 2**32 - 1])
def test_numbers_of_any_ids(high: int) -> None:
    ids = np.array([[0, 5], [high, high - 1]], np.uint32)
    found = class_numbers(ids, lambda each: np.where(each == high, 3, 4))
    assert found.tolist() == [[0, 4], [3, 4]]
    assert class_numbers(ids[:1, :1], lambda each: each * 0 + 9).tolist() == [[0]]


def test_levels_and_their_place() -> None:
    assert [finer_factors(mpp) for mpp in (0.5, 0.25, 1.0, 0.12)] == [[4, 2], [2], [8, 4, 2], []]
    levels = outline_levels([(16, 20), (8, 10)], [padded(labels())] * 2, numbers, 0.5)
    assert [level.shape for level in levels] == [(64, 80), (32, 40), (16, 20), (8, 10)]
    where = outlines_placed({"scale": (0.5, 0.5), "translate": (0.0, 1.0)})
    assert where["scale"] == (0.125, 0.125)
    # The first px of the labels begins at -0.25 um, and so does that of the finest level.
    assert where["translate"] == (-0.1875, 0.8125)


def test_a_reference_is_read_beyond_its_edges_and_thinned() -> None:
    array = np.arange(1, 17).reshape(4, 4)
    read = coarse(lambda region: array[region.slices], (4, 4), 2)
    assert read(Region(-1, 0, 3, 3)).tolist() == [[0, 0, 0], [1, 3, 0], [9, 11, 0]]


def test_a_reference_is_blank_where_too_much_would_be_read() -> None:
    side = int(MOST_READ_PX**0.5) + 1
    read = coarse(lambda region: pytest.fail("read"), (side, side), 1)
    assert not read(Region(0, 0, side, side)).any()
