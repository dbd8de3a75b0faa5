"""Panels of the overview: ticks, colours, outlines and what stands in the picture."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from wsipipe.pipeline.publishing.overview import _blended, _outlined
from wsipipe.pipeline.publishing.panels import (
    PANEL_PX,
    Panel,
    colours_of,
    draw_panels,
    panel_shape,
    tick_values,
)


@pytest.mark.parametrize(
    ("end", "ticks", "decimals"),
    [
        (2.05, [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2], 2),
        (0.9, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 1),
        (40, [0, 5, 10, 15, 20, 25, 30, 35, 40], 0),
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
    assert panel_shape((4000, 10)) == (1040, 3)


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


def test_the_picture_holds_the_panels_and_is_the_same_every_time() -> None:
    pixels = np.full((*panel_shape((50, 100)), 3), (10, 200, 30), np.uint8)
    panels = [Panel("one", pixels), Panel("two", pixels, legend=[("STR", (9, 8, 7))], note="n", bar=4.0)]
    image = draw_panels(panels, (0.5, 1.0), "heading\nWARNING: X", (176, 0, 32))
    found = np.asarray(image).reshape(-1, 3)
    assert (found == (10, 200, 30)).all(axis=1).sum() > 1.5 * PANEL_PX * PANEL_PX / 2
    for colour in ((9, 8, 7), (176, 0, 32), (133, 90, 144)):
        assert (found == colour).all(axis=1).any()
    again = draw_panels(panels, (0.5, 1.0), "heading\nWARNING: X", (176, 0, 32))
    assert image.tobytes() == again.tobytes()


def test_a_narrow_slide_has_room_for_a_long_heading() -> None:
    image = draw_panels(
        [Panel("a long title", np.zeros((1040, 3, 3), np.uint8))], (40.0, 0.1), "x" * 100, (0, 0, 0)
    )
    assert isinstance(image, Image.Image)
    assert image.width > 700


def test_matplotlib_is_not_imported() -> None:
    code = "import sys; import wsipipe.pipeline.publishing.panels; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
