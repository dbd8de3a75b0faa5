"""Cores of tissue micro-arrays are found and numbered."""

import numpy as np
import pytest

from wsipipe.errors import SlideError
from wsipipe.geometry import Array
from wsipipe.tiling.cores import _letters, find_cores

MPP, RADIUS_PX, PITCH_PX = 20.0, 25, 70
LAYOUT = ("11011", "10111", "11110")


def array(
    angle: float = 0.0, layout: tuple[str, ...] = LAYOUT
) -> tuple[Array, dict[str, tuple[float, float]]]:
    """Return discs on a turned grid, and their centres (y, x) in px by name."""
    random, centres = np.random.default_rng(0), {}
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for row, line in enumerate(layout):
        for column, there in enumerate(line):
            place = np.array((row - 1, column - 2)) * PITCH_PX + random.uniform(-4, 4, 2)
            if there == "1":
                centres[f"{chr(ord('A') + row)}{column + 1}"] = tuple(turn @ place + (150.5, 200.5))
    y, x = np.ogrid[:300, :400]
    mask = np.any([np.hypot(y + 0.5 - cy, x + 0.5 - cx) < RADIUS_PX for cy, cx in centres.values()], axis=0)
    return mask, centres


@pytest.mark.parametrize("angle", [0.0, 0.09, -0.2])
def test_cores_are_found_and_named(angle: float) -> None:
    mask, centres = array(angle)
    found = {core.name: (core.y_um / MPP, core.x_um / MPP) for core in find_cores(mask, MPP)}
    assert list(found) == sorted(centres)
    for name, place in found.items():
        assert place == pytest.approx(centres[name], abs=0.5)


def test_a_torn_core_and_two_that_touch_are_still_cores() -> None:
    mask, centres = array()
    y, x = (int(each) for each in centres["A2"])
    mask[y - 2 : y + 2, x - 30 : x + 30] = False
    y, x = (int(each) for each in centres["B3"])
    mask[y - 3 : y + 3, x : x + 70] = True
    assert [core.name for core in find_cores(mask, MPP)] == sorted(centres)


def test_dust_is_no_core_and_the_circle_holds_the_core_alone() -> None:
    mask, centres = array()
    mask[4:9, 4:9] = True
    cores = find_cores(mask, MPP)
    assert [core.name for core in cores] == sorted(centres)
    assert all(2 * RADIUS_PX * MPP < core.diameter_um < PITCH_PX * MPP for core in cores)
    corners = cores[0].corners_um()
    assert np.hypot(*(corners - (cores[0].x_um, cores[0].y_um)).T) == pytest.approx(cores[0].diameter_um / 2)


def test_a_section_is_no_array() -> None:
    section = np.zeros((300, 400), bool)
    section[50:250, 60:340] = True
    with pytest.raises(SlideError, match="no tissue micro-array was found: 1 pieces"):
        find_cores(section, MPP)
    with pytest.raises(SlideError, match="0 pieces"):
        find_cores(np.zeros((30, 40), bool), MPP)


def test_rows_after_z_have_two_letters() -> None:
    assert [_letters(row) for row in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]
