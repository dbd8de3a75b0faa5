"""Draw the differences of a comparison: the whole part, and the window with most of them."""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.common.colours import BLACK, EXTRA, MATCHED, MISSED, WHITE
from wsipipe.geometry import Region
from wsipipe.results.compare.window import draw_window, worst_window
from wsipipe.store.arrays import read_region

if TYPE_CHECKING:
    from wsipipe.results.compare.compare import Comparison

PANEL_PX = 900
WINDOW_UM = 150.0
_MARGIN_PX, _TOP_PX, _BOTTOM_PX, _LEAST_RADIUS_PX = 20, 110, 60, 1.5
_MOST_READ_PX = 4096
_PALE = 0.55
_BAR_UM = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


def draw_differences(found: "Comparison") -> Image.Image:
    """Return the picture of a comparison.

    Left: every nucleus of the compared part as a dot, differences on top. Right: outlines in the window with
    the most differences, at the scale of the px.
    """
    part = found.region
    window = worst_window(found.tally, part, round(WINDOW_UM / found.slide.mpp))
    overview = _overview(found, part, window)
    zoom = _zoom(found, window)
    width = 3 * _MARGIN_PX + overview.width + zoom.width
    height = _TOP_PX + max(overview.height, zoom.height) + _BOTTOM_PX
    picture = Image.new("RGB", (width, height), WHITE)
    draw = ImageDraw.Draw(picture)
    _draw_head(draw, found)
    for left, panel, region in (
        (_MARGIN_PX, overview, part),
        (2 * _MARGIN_PX + overview.width, zoom, window),
    ):
        picture.paste(panel, (left, _TOP_PX))
        draw.rectangle((left - 1, _TOP_PX - 1, left + panel.width, _TOP_PX + panel.height), outline=BLACK)
        _draw_bar(draw, (left, _TOP_PX + panel.height + 14), panel.width / region.width / found.slide.mpp)
    return picture


def grey_image(found: "Comparison", region: Region, size: tuple[int, int]) -> Image.Image:
    """Return the slide in pale grey.

    It is white where no image is stored.

    Args:
        found: The comparison.
        region: Part in px of the nuclei.
        size: (width, height) of the picture in px.
    """
    levels = found.slide.result.arrays.image
    for level, array in enumerate(levels):
        covering = region.scaled(1, 2**level)
        fits = max(covering.shape) <= max(2 * max(size), PANEL_PX)
        if fits or (level == len(levels) - 1 and max(covering.shape) <= _MOST_READ_PX):
            pixels = np.moveaxis(read_region(array, covering, 255), 0, 2)
            grey = np.asarray(Image.fromarray(pixels).convert("L").resize(size, Image.Resampling.BOX))
            pale = np.rint(255 - (255.0 - grey) * _PALE).astype(np.uint8)
            return Image.fromarray(pale).convert("RGB")
    return Image.new("RGB", size, WHITE)


def _overview(found: "Comparison", part: Region, window: Region) -> Image.Image:
    scale = PANEL_PX / max(part.shape)
    size = max(1, round(part.width * scale)), max(1, round(part.height * scale))
    picture = grey_image(found, part, size)
    draw = ImageDraw.Draw(picture)
    true, seen = found.tally.matches
    tally = found.tally
    alone = np.setdiff1d(np.arange(len(tally.found.ids)), seen)
    missed = np.setdiff1d(np.arange(len(tally.true.ids)), true)
    for nuclei, kept, colour in (
        (tally.found, seen, MATCHED),
        (tally.found, alone, EXTRA),
        (tally.true, missed, MISSED),
    ):
        radii = np.maximum(np.sqrt(nuclei.areas[kept] / np.pi) * scale, _LEAST_RADIUS_PX)
        places = zip(
            ((nuclei.x[kept] - part.x) * scale).tolist(),
            ((nuclei.y[kept] - part.y) * scale).tolist(),
            radii.tolist(),
            strict=True,
        )
        for x, y, radius in places:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    box = ((window.x - part.x), (window.y - part.y), (window.end_x - part.x), (window.end_y - part.y))
    draw.rectangle(tuple(round(edge * scale) for edge in box), outline=BLACK, width=2)
    return picture


def _zoom(found: "Comparison", window: Region) -> Image.Image:
    times = max(1, PANEL_PX // max(window.shape))
    background = grey_image(found, window, (window.width * times, window.height * times))
    tally = found.tally
    true, seen = (
        side[place] for side, place in zip((tally.true.ids, tally.found.ids), tally.matches, strict=True)
    )
    labels = found.other.read(window), read_region(found.slide.result.arrays.labels["nuclei"][0], window, 0)
    missed = np.where(np.isin(labels[0], true), 0, labels[0])
    extra = np.where(np.isin(labels[1], seen), 0, labels[1])
    both = np.where(np.isin(labels[1], seen), labels[1], 0)
    layers = ((both, MATCHED, False), (extra, EXTRA, True), (missed, MISSED, True))
    return Image.fromarray(draw_window(np.asarray(background), layers, times))


def _draw_head(draw: ImageDraw.ImageDraw, found: "Comparison") -> None:
    scores = found.scores
    title = f"{found.slide.slide_id} compared with {found.other.name.rpartition('/')[2]}"
    draw.text((_MARGIN_PX, 12), title, BLACK, _font(20))
    names = {"Dice": "dice", "AJI": "aji", "PQ": "pq", "F1": "f1"}
    figures = "   ".join(f"{name} {scores[key]:.3f}" for name, key in names.items())
    draw.text((_MARGIN_PX, 42), f"{figures}   {RESEARCH_USE_NOTICE}", BLACK, _font(16))
    left = float(_MARGIN_PX)
    for key, colour, meaning in (
        ("matched", MATCHED, "matched (IoU > 0.5)"),
        ("missed", MISSED, "missed: in the reference alone"),
        ("extra", EXTRA, "extra: in the result alone"),
    ):
        text = f"{int(scores[key]):,} {meaning}"
        draw.rectangle((left, 76, left + 22, 92), fill=colour, outline=BLACK)
        draw.text((left + 30, 74), text, BLACK, _font(16))
        left += 30 + draw.textlength(text, _font(16)) + 28


def _draw_bar(draw: ImageDraw.ImageDraw, corner: tuple[float, float], px_per_um: float) -> None:
    fitting = [length for length in _BAR_UM if length * px_per_um <= PANEL_PX / 3]
    length_um = fitting[-1] if fitting else _BAR_UM[0]
    x, y = corner
    draw.rectangle((x, y, x + length_um * px_per_um, y + 5), fill=BLACK)
    text = f"{length_um} um" if length_um < 1000 else f"{length_um / 1000:g} mm"
    draw.text((x, y + 9), text, BLACK, _font(16))


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
