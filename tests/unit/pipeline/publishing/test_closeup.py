"""The close-up is a place of typical density, with outlines of one thickness."""

import numpy as np

from wsipipe.geometry import Region
from wsipipe.pipeline.publishing.closeup import draw_outlines, typical_square

CORNERS = np.array([[0, 0], [0, 100], [100, 0], [100, 100]])


def places(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """So many points in the middle of each quarter of 200 x 200 px."""
    y, x = (np.repeat(CORNERS[:, axis] + 40, counts) for axis in (0, 1))
    return y, x


def test_the_square_is_the_one_of_the_median_nucleus() -> None:
    # 9 of 17 nuclei see 9 in their square, 5 see 5.
    assert typical_square(*places(1, 9, 2, 5), (200, 200), 100) == Region(0, 50, 100, 100)


def test_sparse_places_have_little_weight() -> None:
    """The sister: as the median of the squares, the place with two would be typical."""
    assert typical_square(*places(1, 1, 2, 40), (200, 200), 100) == Region(50, 50, 100, 100)


def test_a_small_slide_and_one_without_nuclei() -> None:
    assert typical_square(*places(1, 0, 0, 0), (60, 50), 100) == Region(0, 0, 60, 50)
    nothing = np.zeros(0, int)
    assert typical_square(nothing, nothing, (300, 200), 100) == Region(100, 50, 100, 100)


def test_outlines_lie_inside_and_the_rim_outside() -> None:
    labels = np.zeros((12, 12), np.uint32)
    labels[3:9, 3:9] = 2
    colours = np.array([(0, 0, 0), (9, 9, 9), (1, 250, 3)], np.uint8)
    picture = draw_outlines(np.full((20, 20, 3), 200, np.uint8), labels, colours, 2)
    # Px of the picture: the nucleus is rows and columns 4 to 15.
    row = picture[9].tolist()
    rim, line, plain = [10, 30, 20], [1, 250, 3], [200, 200, 200]
    assert row[:3] == [plain] * 3
    assert row[3] == rim
    assert row[4:6] == [line] * 2
    assert row[6:14] == [plain] * 8
    assert row[14:16] == [line] * 2
    assert row[16] == rim


def test_touching_nuclei_have_no_rim_between_them() -> None:
    labels = np.zeros((6, 8), np.uint32)
    labels[1:5, 1:4], labels[1:5, 4:7] = 1, 2
    colours = np.array([(0, 0, 0), (1, 1, 1), (2, 2, 2)], np.uint8)
    picture = draw_outlines(np.full((4, 6, 3), 200, np.uint8), labels, colours, 1)
    assert picture[2, :, 0].tolist() == [1, 200, 1, 2, 200, 2]
