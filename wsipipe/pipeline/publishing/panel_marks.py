"""Text, scale bars, legends and colour bars in pictures, by Pillow alone.

Importing matplotlib and laying out a figure takes a second and a half of CPU time per slide.
"""

import functools
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wsipipe.common.colours import BLACK, WHITE, Rgb
from wsipipe.geometry import Array

TITLE_PX, TEXT_PX, SMALL_PX = 18, 14, 13
LINE_PX = 20
BAR_SHARE = 0.8
"""Share of a colour bar's colours in the picture."""
BAR_HEIGHT_PX = 44
_SWATCH_PX, _BETWEEN_PX = 22, 20
_MOST_TICKS = 6
_SCALE_SHARE, _SCALE_PX = 0.3, 5
_PLATE = 200
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
Entries = Sequence[tuple[str, Rgb]]


def colours_of(values: Array) -> Array:
    """Return the colours (..., 3) uint8 of values in [0, 1], from violet to yellow."""
    place = np.clip(values, 0, 1) * (len(_VIRIDIS) - 1)
    stops = np.arange(len(_VIRIDIS))
    channels = [np.interp(place, stops, channel) for channel in np.array(_VIRIDIS).T]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def tick_values(end: float) -> tuple[list[float], int]:
    """Return round values from 0 to ``end``, and the decimals that they need."""
    power = math.floor(math.log10(end / _MOST_TICKS))
    steps = ((factor, 10.0**exponent) for exponent in (power, power + 1) for factor in (1, 2, 2.5, 5))
    factor, unit = next((f, u) for f, u in steps if end / (f * u) <= _MOST_TICKS)
    step = factor * unit
    decimals = max(0, -round(math.log10(unit)) + (factor == 2.5))
    return [i * step for i in range(int(end / step * (1 + 1e-9)) + 1)], decimals


def scale_length_um(width_um: float) -> float:
    """Return the length of a scale bar: 1, 2 or 5 times a power of ten.

    Args:
        width_um: Width of the picture.
    """
    most = _SCALE_SHARE * width_um
    unit = 10.0 ** math.floor(math.log10(most))
    return max(factor * unit for factor in (1, 2, 5) if factor * unit <= most * (1 + 1e-9))


def draw_scale_bar(image: Image.Image, box: tuple[int, int, int, int], um_per_px: float) -> None:
    """Draw a scale bar in the lower left corner of a picture.

    Args:
        image: The figure.
        box: Edges of the picture in it: left, top, right, bottom.
        um_per_px: Resolution of the picture.
    """
    length_um = scale_length_um((box[2] - box[0]) * um_per_px)
    text = f"{length_um:g} µm" if length_um < 1000 else f"{length_um / 1000:g} mm"
    length, room = max(2, round(length_um / um_per_px)), round(font(SMALL_PX).getlength(text))
    left, bottom = box[0] + 8, box[3] - 8
    plate = (left, bottom - LINE_PX - _SCALE_PX - 4, left + max(length, room) + 12, bottom)
    image.paste(WHITE, plate, Image.new("L", (plate[2] - plate[0], plate[3] - plate[1]), _PLATE))
    draw = ImageDraw.Draw(image)
    middle = (plate[0] + plate[2]) / 2
    draw.text((middle, plate[1] + 10), text, BLACK, font(SMALL_PX), "mm")
    start = (plate[0] + plate[2] - length) // 2
    draw.rectangle((start, bottom - 5 - _SCALE_PX, start + length - 1, bottom - 6), BLACK)


def legend_rows(entries: Entries, width_px: int) -> list[Entries]:
    """Return the entries of a legend by rows that fit a width."""
    if not entries:
        return []
    widest = max(font(SMALL_PX).getlength(name) for name, _ in entries) + _SWATCH_PX + 8 + _BETWEEN_PX
    columns = max(1, int((width_px + _BETWEEN_PX) / widest))
    return [entries[i : i + columns] for i in range(0, len(entries), columns)]


def draw_legend(draw: ImageDraw.ImageDraw, rows: Sequence[Entries], corner: tuple[int, int]) -> None:
    """Draw rows of :func:`legend_rows` below a corner (x, y)."""
    names = [name for row in rows for name, _ in row]
    step = round(max(font(SMALL_PX).getlength(name) for name in names)) + _SWATCH_PX + 8 + _BETWEEN_PX
    for line, row in enumerate(rows):
        y = corner[1] + LINE_PX * line + LINE_PX // 2
        for column, (name, colour) in enumerate(row):
            x = corner[0] + step * column
            draw.rectangle((x, y - 6, x + _SWATCH_PX - 1, y + 6), colour, BLACK)
            draw.text((x + _SWATCH_PX + 8, y), name, BLACK, font(SMALL_PX), "lm")


def draw_colour_bar(image: Image.Image, box: tuple[int, int, int], end: float) -> None:
    """Draw a colour bar with ticks from 0 to a value.

    Args:
        image: The figure.
        box: Left, top and right edge of the bar.
        end: Value at its right end.
    """
    (left, top, right), height = box, 14
    # As in the picture, where the colours lie over a slide that is white where it is empty.
    shades = 255 - BAR_SHARE * (255.0 - colours_of(np.linspace(0, 1, right - left)))
    image.paste(Image.fromarray(np.repeat(np.rint(shades).astype(np.uint8)[None], height, 0)), (left, top))
    draw = ImageDraw.Draw(image)
    draw.rectangle((left - 1, top - 1, right, top + height), outline=BLACK)
    values, decimals = tick_values(end)
    for value in values:
        x = left + round(value / end * (right - left - 1))
        draw.line((x, top + height, x, top + height + 4), BLACK)
        text = f"{value:,.{decimals}f}"
        half = font(SMALL_PX).getlength(text) / 2
        place = min(max(x, left + half), right - half), top + height + 13
        draw.text(place, text, BLACK, font(SMALL_PX), "mm")


@functools.cache
def font(size_px: int, bold: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return DejaVu Sans of matplotlib, which is not imported; else the font of Pillow."""
    found = find_spec("matplotlib")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / f"mpl-data/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"
        if path.is_file():
            return ImageFont.truetype(path, size_px, layout_engine=ImageFont.Layout.BASIC)
    return ImageFont.load_default(size_px)
