"""Draw pictures with axes in mm beside each other, by Pillow alone.

Importing matplotlib and laying out a figure takes a second and a half of CPU time per slide.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wsipipe.geometry import Array

PANEL_PX, MOST_HEIGHT_PX = 520, 1040
"""Width of a panel's picture, and its largest height."""
_LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 66, 18, 32, 54
_BAR_PX, _BAR_GAP_PX, _BAR_LABELS_PX, _BAR_SHARE = 18, 16, 70, 0.7
BAR_SHARE = 0.65
"""Share of a bar's colours in the picture."""
_TITLE, _TEXT, _SMALL, _HEADING = 18, 14, 12, 14
_LINE_PX, _TICK_PX, _MOST_TICKS = 21, 5, 9
_BLACK, _WHITE, _GREY = (0, 0, 0), (255, 255, 255), (204, 204, 204)
_VIRIDIS = (
    *(
        (68, 1, 84),
        (72, 26, 108),
        (71, 47, 125),
        (65, 68, 135),
        (57, 86, 140),
        (49, 104, 142),
        (42, 120, 142),
    ),
    *((35, 136, 142), (31, 152, 139), (34, 168, 132), (53, 183, 121), (84, 197, 104), (122, 209, 81)),
    *((165, 219, 54), (210, 226, 27), (253, 231, 37)),
)
Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Panel:
    """One picture with its axes.

    Attributes:
        title: Text above it.
        pixels: RGB (h, w, 3) uint8, of :func:`panel_shape`.
        legend: Name and colour of each class shown.
        note: Text in its upper left corner.
        bar: Value at the upper end of its colour bar; 0 for no bar.
    """

    title: str
    pixels: Array
    legend: Sequence[tuple[str, Rgb]] = field(default_factory=tuple)
    note: str = ""
    bar: float = 0.0


def panel_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width in px of the picture of an area of that shape."""
    scale = min(PANEL_PX / shape[1], MOST_HEIGHT_PX / shape[0])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def colours_of(values: Array) -> Array:
    """Return the colours (..., 3) uint8 of values in [0, 1], from violet to yellow."""
    place = np.clip(values, 0, 1) * (len(_VIRIDIS) - 1)
    stops = np.arange(len(_VIRIDIS))
    channels = [np.interp(place, stops, channel) for channel in np.array(_VIRIDIS).T]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def draw_panels(
    panels: Sequence[Panel], size_mm: tuple[float, float], heading: str, colour: Rgb
) -> Image.Image:
    """Draw panels beside each other.

    Args:
        panels: The panels, pictures of one shape.
        size_mm: Height and width of the area that they show.
        heading: Lines above all panels.
        colour: Colour of the heading.
    """
    height, width = panels[0].pixels.shape[:2]
    rooms = [max(width, _least_px(panel)) for panel in panels]
    slots = [_LEFT_PX + room + _RIGHT_PX + _bar_px(panel) for panel, room in zip(panels, rooms, strict=True)]
    lines = heading.splitlines()
    top = 10 + _LINE_PX * len(lines) + _TOP_PX
    total = max(sum(slots), *(round(_font(_HEADING).getlength(line)) + 20 for line in lines))
    image = Image.new("RGB", (total, top + height + _BOTTOM_PX), _WHITE)
    draw = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        draw.text((total / 2, 8 + _LINE_PX * (i + 0.5)), line, colour, _font(_HEADING), "mm")
    slot_left = (total - sum(slots)) // 2
    for panel, room, slot in zip(panels, rooms, slots, strict=True):
        left = slot_left + _LEFT_PX + (room - width) // 2
        image.paste(Image.fromarray(panel.pixels), (left, top))
        _draw_axes(draw, panel, (left, top), size_mm)
        _draw_legend(image, draw, panel, (left, top))
        if panel.note:
            draw.text((left + 10, top + 8), panel.note, _BLACK, _font(_TEXT))
        if panel.bar:
            _draw_bar(image, draw, panel, (left + width + _BAR_GAP_PX, top))
        slot_left += slot
    return image


def tick_values(end: float) -> tuple[list[float], int]:
    """Return round values from 0 to ``end``, and the decimals that they need."""
    power = math.floor(math.log10(end / _MOST_TICKS))
    steps = ((factor, 10.0**exponent) for exponent in (power, power + 1) for factor in (1, 2, 2.5, 5))
    factor, unit = next((f, u) for f, u in steps if end / (f * u) <= _MOST_TICKS)
    step = factor * unit
    decimals = max(0, -round(math.log10(unit)) + (factor == 2.5))
    return [i * step for i in range(int(end / step * (1 + 1e-9)) + 1)], decimals


def _draw_axes(
    draw: ImageDraw.ImageDraw, panel: Panel, corner: tuple[int, int], size_mm: tuple[float, float]
) -> None:
    (left, top), (height, width) = corner, panel.pixels.shape[:2]
    right, bottom = left + width, top + height
    draw.rectangle((left - 1, top - 1, right, bottom), outline=_BLACK)
    draw.text((left + width / 2, top - 16), panel.title, _BLACK, _font(_TITLE), "mm")
    draw.text((left + width / 2, bottom + 38), "mm", _BLACK, _font(_TEXT), "mm")
    # One step for both axes: a narrow side then has few ticks, and none overlap.
    values, decimals = tick_values(max(size_mm))
    px_per_mm = max(height, width) / max(size_mm)
    for value in values:
        text, at = f"{value:.{decimals}f}", round(value * px_per_mm)
        if at <= width:
            draw.line((left + at, bottom, left + at, bottom + _TICK_PX), _BLACK)
            draw.text((left + at, bottom + 16), text, _BLACK, _font(_TEXT), "mm")
        if at <= height:
            draw.line((left - _TICK_PX, top + at, left, top + at), _BLACK)
            draw.text((left - 9, top + at), text, _BLACK, _font(_TEXT), "rm")


def _draw_legend(
    image: Image.Image, draw: ImageDraw.ImageDraw, panel: Panel, corner: tuple[int, int]
) -> None:
    if not panel.legend:
        return
    font, line = _font(_SMALL), 18
    width = round(max(font.getlength(name) for name, _ in panel.legend)) + 44
    box = (corner[0] + 6, corner[1] + 6, corner[0] + 6 + width, corner[1] + 14 + line * len(panel.legend))
    image.paste(_WHITE, box, Image.new("L", (box[2] - box[0], box[3] - box[1]), 217))
    draw.rounded_rectangle(box, 3, outline=_GREY)
    for i, (name, colour) in enumerate(panel.legend):
        y = box[1] + 4 + line * (i + 0.5)
        draw.rectangle((box[0] + 7, y - 5, box[0] + 29, y + 4), colour)
        draw.text((box[0] + 37, y), name, _BLACK, font, "lm")


def _draw_bar(image: Image.Image, draw: ImageDraw.ImageDraw, panel: Panel, corner: tuple[int, int]) -> None:
    height = max(40, round(_BAR_SHARE * panel.pixels.shape[0]))
    left, top = corner[0], corner[1] + (panel.pixels.shape[0] - height) // 2
    # As in the picture, where the colours lie over a slide that is white where it is empty.
    shades = np.rint(255 - BAR_SHARE * (255.0 - colours_of(np.linspace(1, 0, height)))).astype(np.uint8)
    image.paste(Image.fromarray(np.repeat(shades[:, None], _BAR_PX, axis=1)), (left, top))
    draw.rectangle((left - 1, top - 1, left + _BAR_PX, top + height), outline=_BLACK)
    values, decimals = tick_values(panel.bar)
    for value in values:
        y = top + height - round(value / panel.bar * height)
        draw.line((left + _BAR_PX, y, left + _BAR_PX + _TICK_PX, y), _BLACK)
        draw.text((left + _BAR_PX + 9, y), f"{value:,.{decimals}f}", _BLACK, _font(_TEXT), "lm")


def _least_px(panel: Panel) -> int:
    """Return the width that title and legend need around a centred picture."""
    legend = max((round(_font(_SMALL).getlength(name)) + 60 for name, _ in panel.legend), default=0)
    return max(round(_font(_TITLE).getlength(panel.title)), 2 * legend - panel.pixels.shape[1])


def _bar_px(panel: Panel) -> int:
    return _BAR_GAP_PX + _BAR_PX + _BAR_LABELS_PX if panel.bar else 0


@functools.cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return DejaVu Sans of matplotlib, which is not imported; else the font of Pillow."""
    found = find_spec("matplotlib")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(path, size_px, layout_engine=ImageFont.Layout.BASIC)
    return ImageFont.load_default(size_px)
