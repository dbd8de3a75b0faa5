"""Picture and description of a result, for notebooks."""

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from wsipipe.common.html_tables import facts_table, picture_html
from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.store.arrays import read_region
from wsipipe.store.names import NUCLEI_TABLE, OVERVIEW

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wsipipe.store.result import Result

SHOWN_PX = 480
MOST_PX = 1024
"""Longest side of the picture that is read, px."""
MOST_OUTLINES = 5000
"""Number of nuclei above which dots are drawn."""
_COLOUR = "#0072b2"
Level0Region = tuple[int, int, int, int]


def plot_result(
    result: "Result", region: Level0Region | None, axes: "Axes | None", colour_by: str | None
) -> "Axes":
    """Draw a part of a slide with its nuclei; arguments are those of ``Result.plot``.

    Raises:
        ConfigError: The region lies outside the slide.
    """
    import matplotlib.pyplot as plt

    axes = axes or plt.subplots(figsize=(7, 7))[1]
    pixels, extent = _picture(result, region)
    axes.imshow(pixels, extent=extent, interpolation="nearest")
    if (result.folder / NUCLEI_TABLE).is_file():
        _draw_nuclei(result, axes, extent, colour_by)
    axes.set(xlim=extent[:2], ylim=extent[2:], xlabel="x (level-0 px)", ylabel="y (level-0 px)")
    axes.set_title(result.folder.name)
    return axes


def _picture(
    result: "Result", region: Level0Region | None
) -> tuple[Array, tuple[float, float, float, float]]:
    """Return RGB and its left, right, bottom and top edge in level-0 px.

    It is white where no image is stored.
    """
    offset, step = result.attributes["level0_offset_yx"], result.attributes["level0_px_per_canvas_px"]
    levels = result.arrays.image
    sides = levels[0].shape[-2:] if levels else _canvas_sides(result)
    part = _canvas_region(region, offset, step, sides)
    level = next(
        (number for number in range(len(levels)) if max(part.shape) <= MOST_PX << number), len(levels) - 1
    )
    scale = 2 ** max(level, 0)
    covering = part.scaled(1, scale)
    if levels:
        inside = covering.clipped(levels[level].shape[-2:])
        pixels = np.moveaxis(read_region(levels[level], inside, 255), 0, 2)
    else:
        inside, pixels = covering, np.full((1, 1, 3), 255, np.uint8)
    top, left = (
        start * scale * step + shift for start, shift in zip((inside.y, inside.x), offset, strict=True)
    )
    bottom, right = top + inside.height * scale * step, left + inside.width * scale * step
    return pixels, (left, right, bottom, top)


def _canvas_sides(result: "Result") -> tuple[int, int]:
    """Return the sides of the canvas, from the tissue mask where no image is stored."""
    coarse = result.arrays.labels["tissue"][0]
    scale = result.scale_um("labels/tissue")[0] / result.attributes["canvas_mpp"]
    height, width = (round(side * scale) for side in coarse.shape)
    return height, width


def _canvas_region(
    region: Level0Region | None, offset: list[float], step: float, sides: tuple[int, int]
) -> Region:
    whole = Region(0, 0, *sides)
    if region is None:
        return whole
    y, x = ((start - shift) / step for start, shift in zip(region[:2], offset, strict=True))
    end_y, end_x = y + region[2] / step, x + region[3] / step
    top, left = int(np.floor(y)), int(np.floor(x))
    found = Region(top, left, int(np.ceil(end_y)) - top, int(np.ceil(end_x)) - left).intersection(whole)
    if not found.area_px:
        raise ConfigError(
            f"The region {region} lies outside the slide. Give (y, x, height, width) in level-0 px inside it."
        )
    return found


def _draw_nuclei(
    result: "Result", axes: "Axes", extent: tuple[float, float, float, float], colour_by: str | None
) -> None:
    left, right, bottom, top = extent
    nuclei = result.nuclei.cx[left:right, top:bottom]
    if not len(nuclei):
        return
    if len(nuclei) > MOST_OUTLINES:
        axes.scatter(nuclei.centroid_x_px0, nuclei.centroid_y_px0, s=1, color=_COLOUR, linewidths=0)
        return
    if colour_by:
        nuclei.plot(ax=axes, column=colour_by, legend=True, alpha=0.6, aspect=None)
        return
    nuclei.boundary.plot(ax=axes, color=_COLOUR, linewidth=0.8, aspect=None)


def result_html(result: "Result") -> str:
    """Return facts and the overview as HTML."""
    found = result.attributes
    weights = found["weights"].values()
    facts = {
        "folder": result.folder,
        "slide": f"{found['slide_mpp']:.4f} um/px, {found['vendor']}",
        "image": ", ".join(f"{array.shape[-2]:,} x {array.shape[-1]:,}" for array in result.arrays.image[:1]),
        "resolution": f"{found['canvas_mpp']:g} um/px",
        "labels": ", ".join(result.arrays.labels),
        "probabilities": ", ".join(result.arrays.probabilities),
        "nuclei": _nuclei_count(result),
        "weights": ", ".join(str(each["name"]) for each in weights if "name" in each),
        "note": found["notice"],
    }
    picture = ""
    with suppress(OSError), Image.open(result.folder / OVERVIEW) as overview:
        overview.thumbnail((SHOWN_PX, SHOWN_PX))
        picture = picture_html(overview.convert("RGB"), f"overview of {result.folder.name}")
    return facts_table(f"Result of {found['slide_id']}", facts, picture)


def _nuclei_count(result: "Result") -> str:
    path = result.folder / NUCLEI_TABLE
    if not path.is_file():
        return ""
    import pyarrow.parquet as pq

    return f"{pq.read_metadata(path).num_rows:,}"
