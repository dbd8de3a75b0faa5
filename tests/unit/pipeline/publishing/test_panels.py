"""Panels of the overview: ticks, colours, outlines and what stands in the picture."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from wsipipe.pipeline.publishing.overview import _blended, _outlined
from wsipipe.pipeline.publishing.panel_marks import (
    colours_of,
    draw_scale_bar,
    legend_rows,
    scale_length_um,
    tick_values,
)
from wsipipe.pipeline.publishing.panels import PANEL_PX, Panel, draw_panels, panel_shape


@pytest.mark.parametrize(
    ("end", "ticks", "decimals"),
    [
        (2.05, [0, 0.5, 1, 1.5, 2], 1),
        (1.3, [0, 0.25, 0.5, 0.75, 1, 1.25], 2),
        (0.9, [0, 0.2, 0.4, 0.6, 0.8], 1),
        (10_803, [0, 2000, 4000, 6000, 8000, 10_000], 0),
        (0.011, [0, 0.002, 0.004, 0.006, 0.008, 0.01], 3),
    ],
)
def test_ticks_are_round_numbers(end: float, ticks: list[float], decimals: int) -> None:
    found, digits = tick_values(end)
    np.testing.assert_allclose(found, ticks)
    assert digits == decimals
    assert len({f"{value:.{digits}f}" for value in found}) == len(found)


def test_pictures_keep_their_proportions() -> None:
    assert panel_shape((100, 200)) == (PANEL_PX // 2, PANEL_PX)
    assert panel_shape((4000, 10)) == (640, 2)


def test_colours_go_from_violet_to_yellow() -> None:
    np.testing.assert_array_equal(
        colours_of(np.array([-1.0, 0, 1, 2]))[[0, 3]], [(68, 1, 84), (253, 231, 37)]
    )
    assert (np.diff(colours_of(np.linspace(0, 1, 50))[:, 1].astype(int)) >= 0).all()


def test_a_colour_covers_the_slide_by_its_share() -> None:
    slide = np.full((1, 3, 3), 100, np.uint8)
    found = _blended(slide, np.array([200, 0, 100]), np.array([[0, 0.5, 1]]))
    np.testing.assert_array_equal(found[0], [(100, 100, 100), (150, 50, 100), (200, 0, 100)])


def test_the_outline_lies_on_the_border_of_the_mask() -> None:
    slide, mask = np.full((40, 60, 3), 255, np.uint8), np.zeros((10, 15), bool)
    mask[2:8, 3:12] = True
    changed = (_outlined(slide, mask) != 255).any(axis=2)
    y, x = np.nonzero(changed)
    assert (y.min(), y.max(), x.min(), x.max()) == (8, 31, 12, 47)
    assert not changed[12:28, 16:44].any()


@pytest.mark.parametrize("value", [False, True])
def test_glass_alone_and_tissue_alone_have_no_outline(value: bool) -> None:
    slide = np.full((40, 60, 3), 255, np.uint8)
    np.testing.assert_array_equal(_outlined(slide, np.full((10, 15), value)), slide)


@pytest.mark.parametrize(
    ("width_um", "length_um"), [(120, 20), (166.7, 50), (1100, 200), (10_000, 2000), (3.4, 1), (0.5, 0.1)]
)
def test_scale_bars_have_round_lengths(width_um: float, length_um: float) -> None:
    assert scale_length_um(width_um) == pytest.approx(length_um)


def test_a_scale_bar_is_as_long_as_it_says() -> None:
    image = Image.new("RGB", (400, 200), (200, 120, 160))
    draw_scale_bar(image, (0, 0, 400, 200), 0.5)
    row = np.asarray(image)[184]
    # 50 um at 0.5 um per px.
    assert (row == 0).all(axis=1).sum() == 100


def test_legends_fill_the_width() -> None:
    entries = [(name, (1, 2, 3)) for name in ("ADI", "BACK", "LYM", "MUC", "MUS")]
    assert [len(row) for row in legend_rows(entries, 300)] == [3, 2]
    assert [len(row) for row in legend_rows(entries, 10)] == [1] * 5
    assert legend_rows([], 300) == []


def panels() -> list[Panel]:
    pixels = np.full((*panel_shape((50, 100)), 3), (10, 200, 30), np.uint8)
    return [
        Panel("one", pixels, 2.0),
        Panel("two", pixels, 2.0, legend=[("STR", (9, 8, 7))], note="n", bar=4.0),
    ]


def test_the_picture_holds_the_panels_and_is_the_same_every_time() -> None:
    image = draw_panels(panels(), "slide", "notice", "WARNING: X")
    found = np.asarray(image).reshape(-1, 3)
    assert (found == (10, 200, 30)).all(axis=1).sum() > 1.9 * PANEL_PX * PANEL_PX / 2 * 0.9
    for colour in ((9, 8, 7), (176, 0, 32), (105, 52, 118)):
        assert (found == colour).all(axis=1).any()
    assert image.tobytes() == draw_panels(panels(), "slide", "notice", "WARNING: X").tobytes()


def test_without_a_warning_nothing_is_red() -> None:
    found = np.asarray(draw_panels(panels(), "slide", "notice")).reshape(-1, 3)
    assert not (found == (176, 0, 32)).all(axis=1).any()


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (5, 3, 2)]
)
def test_panels_are_laid_out_in_rows(count: int, columns: int, rows: int) -> None:
    image = draw_panels(panels()[:1] * count, "s", "n")
    height, width = panel_shape((50, 100))
    assert columns * width < image.width < (columns + 1) * width
    assert rows * height < image.height < (rows + 1) * height


def test_a_narrow_slide_has_room_for_a_long_name() -> None:
    image = draw_panels([Panel("a long title", np.zeros((640, 3, 3), np.uint8), 5.0)], "x" * 100, "n")
    assert image.width > 700


def test_matplotlib_is_not_imported() -> None:
    code = "import sys; import wsipipe.pipeline.publishing.overview; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
