"""Show nuclei of a slide close up: a place of typical density, with outlines."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from wsipipe.common.colours import DAB_CLASSES, NUCLEUS, RIM, Rgb, on_slide
from wsipipe.geometry import Array, Region
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.panels import PANEL_PX, Panel
from wsipipe.stages.nuclei.relabel import NUCLEI
from wsipipe.store.arrays import read_region

SIDE_UM = 120.0
"""Side of the place, about; the picture is a whole number of times as large."""
_LINE_PX, _RIM_PX = 2, 1
_DAB_NAMES = ("negative", "1+", "2+", "3+")


def typical_place(plan: Plan, nuclei: dict[str, Array]) -> Region:
    """Return the square whose density is nearest to that around a typical nucleus.

    Squares overlap by half. Typical is the median over all nuclei of the count in their square; the first one
    in raster order is taken among equals.

    Args:
        plan: Plan of the slide.
        nuclei: Table of all nuclei.

    Returns:
        Region in px of the nuclei; without nuclei the middle of the slide.
    """
    downsample = plan.downsample(NUCLEI)
    grid = plan.facts.grid
    side = PANEL_PX // _times(grid.mpp * downsample)
    y, x = ((nuclei[f"min_{axis}"] + nuclei[f"max_{axis}"]) // 2 for axis in "yx")
    return typical_square(y, x, grid.shape_at(downsample), side)


def typical_square(y: Array, x: Array, shape: tuple[int, int], side: int) -> Region:
    """Return the square of a typical number of points.

    Args:
        y: Rows (n,) of the points.
        x: Columns (n,) of the points.
        shape: (height, width) of the area.
        side: Side of the square; less where the area is smaller.
    """
    height, width = (min(side, extent) for extent in shape)
    if not y.size:
        return Region((shape[0] - height) // 2, (shape[1] - width) // 2, height, width)
    half = max(1, side // 2)
    cells = [max(2, extent // half) for extent in shape]
    row, column = (np.minimum(at // half, most - 1) for at, most in zip((y, x), cells, strict=True))
    counts = np.bincount(row * cells[1] + column, minlength=cells[0] * cells[1]).reshape(cells)
    squares = counts[:-1, :-1] + counts[1:, :-1] + counts[:-1, 1:] + counts[1:, 1:]
    around = squares[np.minimum(row, cells[0] - 2), np.minimum(column, cells[1] - 2)]
    typical = np.sort(around)[around.size // 2]
    top, left = divmod(int(np.abs(squares - typical).argmin()), squares.shape[1])
    return Region(min(top * half, shape[0] - height), min(left * half, shape[1] - width), height, width)


def closeup_panel(plan: Plan, inputs: ShardInputs, place: Region, table: Path) -> Panel:
    """Return the panel of a place, at the scale of its px or larger.

    Args:
        plan: Plan of the slide.
        inputs: Finished arrays of the slide.
        place: Region in px of the nuclei.
        table: ``nuclei.parquet``.
    """
    downsample = plan.downsample(NUCLEI)
    mpp = plan.facts.grid.mpp * downsample
    times = _times(mpp)
    image = Image.fromarray(inputs.canvas.read_reduced(place, downsample))
    large = image.resize((times * place.width, times * place.height), Image.Resampling.BICUBIC)
    labels = read_region(inputs.array(NUCLEI), place.grown(1), 0)
    colours, legend = _colours(plan, table, labels)
    pixels = draw_outlines(np.asarray(large), labels, colours, times)
    count = int(np.count_nonzero(np.unique(labels)))
    per_mm2 = count / (place.area_px * mpp**2 / 1e6)
    return Panel(
        "nuclei, at a place of typical density",
        pixels,
        mpp / times,
        legend,
        f"{count:,} nuclei here, {per_mm2:,.0f} per mm²",
    )


def draw_outlines(picture: Array, labels: Array, colours: Array, times: int) -> Array:
    """Draw outlines inside the edges of nuclei, with a dark rim around them.

    Args:
        picture: Picture (h * times, w * times, 3) uint8.
        labels: Labels (h + 2, w + 2) with a margin of one px.
        colours: Colour (n, 3) uint8 of each label up to the highest one.
        times: Px of the picture per px of the labels.
    """
    large = labels.repeat(times, axis=0).repeat(times, axis=1)
    margin = times
    line = _differs(large, margin, min(_LINE_PX, margin))
    rim = _differs(large, margin, _RIM_PX)
    inside = large[margin:-margin, margin:-margin]
    found = picture.copy()
    found[rim & (inside == 0)] = RIM
    line &= inside > 0
    found[line] = colours[inside[line]]
    return found


def _differs(labels: Array, margin: int, by: int) -> Array:
    """Return where a label within some px up, down, left or right is another one."""
    height, width = (side - 2 * margin for side in labels.shape)
    inside = labels[margin:-margin, margin:-margin]
    found = np.zeros(inside.shape, bool)
    for down, right in ((-by, 0), (by, 0), (0, -by), (0, by)):
        top, left = margin + down, margin + right
        found |= labels[top : top + height, left : left + width] != inside
    return found


def _times(mpp: float) -> int:
    return max(1, round(PANEL_PX * mpp / SIDE_UM))


def _colours(plan: Plan, table: Path, labels: Array) -> tuple[Array, list[tuple[str, Rgb]]]:
    """Return the colour of each label, and the legend of types or positivity."""
    colours = np.full((int(labels.max(initial=0)) + 1, 3), NUCLEUS, np.uint8)
    column, shown = _classes(plan)
    if not column:
        return colours, []
    # Not read_table, which loads pandas.
    with pq.ParquetFile(table) as file:
        named = file.read(columns=[column])[column].to_pylist()
    for identity in np.unique(labels[labels > 0]).tolist():
        colours[identity] = shown.get(named[identity - 1], ("", NUCLEUS))[1]
    counts, total = Counter(named), max(1, len(named))
    return colours, [(f"{name} {counts[value] / total:.0%}", rgb) for value, (name, rgb) in shown.items()]


def _classes(plan: Plan) -> tuple[str, dict[object, tuple[str, Rgb]]]:
    """Return the column of classes, and name and colour of each value."""
    about: Any = next(write.about for _, write in plan.published("label") if write.name == NUCLEI)
    if types := about.get("types"):
        return "type", {
            one["name"]: (one["name"], on_slide(one["name"], tuple(one["color"]))) for one in types
        }
    measure = plan.completed_workflow.measure
    if measure is not None and measure.positivity:
        return "dab_class", dict(enumerate(zip(_DAB_NAMES, DAB_CLASSES, strict=True)))
    return "", {}
