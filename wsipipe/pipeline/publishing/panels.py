"""Lay out pictures with titles, scale bars and legends as one figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from PIL import Image, ImageDraw

from wsipipe.common.colours import BLACK, WHITE, Rgb
from wsipipe.geometry import Array
from wsipipe.pipeline.publishing.panel_marks import (
    BAR_HEIGHT_PX,
    LINE_PX,
    SMALL_PX,
    TEXT_PX,
    TITLE_PX,
    Entries,
    draw_colour_bar,
    draw_legend,
    draw_scale_bar,
    font,
    legend_rows,
)

PANEL_PX, MOST_HEIGHT_PX = 460, 640
"""Width of a panel's picture, and its largest height."""
_LEAST_PX, _MARGIN_PX, _GAP_PX, _TITLE_ROOM_PX, _HEADING_PX = 300, 24, 30, 32, 24
_GREY, _RED = (90, 90, 90), (176, 0, 32)


@dataclass(frozen=True)
class Panel:
    """One picture of the figure.

    Attributes:
        title: Text above it.
        pixels: RGB (h, w, 3) uint8.
        um_per_px: Resolution of the picture.
        legend: Name and colour of what is shown.
        note: Line of text below it.
        bar: Value at the upper end of its colour bar; 0 for no bar.
    """

    title: str
    pixels: Array
    um_per_px: float
    legend: Entries = ()
    note: str = ""
    bar: float = 0.0


def panel_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width in px of the picture of an area of that shape."""
    scale = min(PANEL_PX / shape[1], MOST_HEIGHT_PX / shape[0])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def draw_panels(panels: Sequence[Panel], name: str, notice: str, warning: str = "") -> Image.Image:
    """Draw panels in rows, each with a letter.

    Args:
        panels: The panels.
        name: Name of the slide.
        notice: Text beside the name.
        warning: Red line above all panels; empty for none.
    """
    columns = len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3
    room = max(_LEAST_PX, *(panel.pixels.shape[1] for panel in panels))
    lines = _heading(name, notice, warning)
    lengths = [sum(font(size, bold).getlength(text) + 16 for text, size, bold, _ in line) for line in lines]
    width = 2 * _MARGIN_PX + max(columns * (room + _GAP_PX) - _GAP_PX, *map(round, lengths))
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [max(_height(panel, room) for panel in row) for row in rows]
    top = _MARGIN_PX + _HEADING_PX * len(lines) + 6
    image = Image.new("RGB", (width, top + sum(heights) + _GAP_PX * (len(rows) - 1) + _MARGIN_PX), WHITE)
    draw = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        x = float(_MARGIN_PX)
        for text, size, bold, colour in line:
            draw.text((x, _MARGIN_PX + _HEADING_PX * i + 10), text, colour, font(size, bold), "lm")
            x += font(size, bold).getlength(text) + 16
    letters = iter(ascii_lowercase)
    for row, height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            _draw_panel(image, panel, next(letters), (_MARGIN_PX + column * (room + _GAP_PX), top), room)
        top += height + _GAP_PX
    return image


def _heading(name: str, notice: str, warning: str) -> list[list[tuple[str, int, bool, Rgb]]]:
    first = [(name, TITLE_PX, True, BLACK), (notice, SMALL_PX, False, _GREY)]
    return [first, [(warning, TEXT_PX, True, _RED)]] if warning else [first]


def _height(panel: Panel, room: int) -> int:
    below = LINE_PX * (len(legend_rows(panel.legend, room)) + bool(panel.note))
    return _TITLE_ROOM_PX + panel.pixels.shape[0] + 8 + below + (BAR_HEIGHT_PX if panel.bar else 0)


def _draw_panel(image: Image.Image, panel: Panel, letter: str, corner: tuple[int, int], room: int) -> None:
    draw, (left, top) = ImageDraw.Draw(image), corner
    draw.text((left, top + 14), letter, BLACK, font(TITLE_PX, bold=True), "lm")
    draw.text((left + 22, top + 14), panel.title, BLACK, font(TEXT_PX), "lm")
    top += _TITLE_ROOM_PX
    height, width = panel.pixels.shape[:2]
    image.paste(Image.fromarray(panel.pixels), (left, top))
    draw_scale_bar(image, (left, top, left + width, top + height), panel.um_per_px)
    draw.rectangle((left - 1, top - 1, left + width, top + height), outline=BLACK)
    top += height + 8
    if panel.bar:
        draw_colour_bar(image, (left, top + 2, left + max(_LEAST_PX, width)), panel.bar)
        top += BAR_HEIGHT_PX
    if rows := legend_rows(panel.legend, room):
        draw_legend(draw, rows, (left, top))
        top += LINE_PX * len(rows)
    if panel.note:
        draw.text((left, top + LINE_PX // 2), panel.note, BLACK, font(SMALL_PX), "lm")
