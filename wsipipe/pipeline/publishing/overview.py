"""Draw ``overview.png``: tissue, classes and density of nuclei."""

from pathlib import Path

import numpy as np
import zarr
from PIL import Image

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.geometry import Array, Region
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan, origin
from wsipipe.pipeline.publishing.panels import BAR_SHARE, Panel, colours_of, draw_panels, panel_shape
from wsipipe.pipeline.reporting.outcome import SlideWarning
from wsipipe.stages.nuclei.number import NUMBERED
from wsipipe.stages.nuclei.relabel import NUCLEI
from wsipipe.stages.stage import Write
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.tables import load_table

LONGEST_SIDE_PX = 640
"""Longest side of the small pictures that the panels are made of, about that of a panel."""
BAND_PX = 1 << 18
CLASS_BAND_PX = 512
DENSITY_CELL_UM = 128.0
CLASS_SHARE = 140 / 255
_OUTLINE = (0, 80, 200)


def draw_overview(
    plan: Plan, inputs: ShardInputs, tables: Path, path: Path, warnings: tuple[SlideWarning, ...] = ()
) -> None:
    """Draw the panels that the workflow has results for.

    Args:
        plan: Plan of the slide.
        inputs: Finished arrays of the slide.
        tables: Folder of the stages' tables.
        path: PNG file to write.
        warnings: Warnings whose codes the title lists.
    """
    grid = plan.facts.grid
    shape = panel_shape(grid.shape)
    slide = np.asarray(Image.fromarray(_thumbnail(plan, inputs)).resize(shape[::-1], Image.Resampling.BOX))
    panels = [Panel("tissue", _outlined(slide, _thinned(inputs.array(TISSUE)) == 1))]
    for _, write in plan.published("label"):
        if write.legend and write.name != TISSUE:
            panels.append(_class_panel(slide, write, inputs.array(write.name)))
    if any(stage.nuclei_rows for stage in plan.stages):
        panels.append(_density_panel(slide, plan, load_table(tables / f"{NUMBERED}.npz")))
    heading, colour = f"{plan.slide.slide_id} · {RESEARCH_USE_NOTICE}", (0, 0, 0)
    if warnings:
        heading += "\nWARNING: " + ", ".join(dict.fromkeys(warning.code for warning in warnings))
        colour = (176, 0, 32)
    size_mm = (grid.shape[0] * grid.mpp / 1000, grid.shape[1] * grid.mpp / 1000)
    draw_panels(panels, size_mm, heading, colour).save(path, format="PNG", compress_level=3)


def _thumbnail(plan: Plan, inputs: ShardInputs) -> Array:
    """Return an averaged thumbnail of the slide, RGB.

    It is read in bands, so that memory does not depend on the size of the slide.
    """
    downsample = plan.downsample(TISSUE)
    shape = plan.facts.grid.shape_at(downsample)
    every = _every(shape)
    # A slide may be narrower than one px of the picture; it is white outside the canvas.
    height, width = (max(1, side // every) for side in shape)
    rows = max(1, BAND_PX // (width * every**2))
    small = np.empty((height, width, 3), np.uint8)
    for row in range(0, height, rows):
        count = min(rows, height - row)
        band = Region(row * every, 0, count * every, width * every)
        pixels = inputs.canvas.read_coarse(downsample, band)[0]
        small[row : row + count] = pixels.reshape(count, every, width, every, 3).mean((1, 3))
    return small


def _thinned(labels: zarr.Array) -> Array:
    """Return every n-th px of a stored array (H, W), so that its longest side fits."""
    every = _every(labels.shape)
    return np.ascontiguousarray(labels[::every, ::every])


def _every(shape: tuple[int, int]) -> int:
    return -(-max(shape) // LONGEST_SIDE_PX)


def _outlined(slide: Array, mask: Array) -> Array:
    """Return the slide with the outline of a mask (h, w) bool."""
    height, width = slide.shape[:2]
    fine = Image.fromarray(255 * mask.astype(np.uint8)).resize(
        (2 * width, 2 * height), Image.Resampling.BILINEAR
    )
    inside = np.asarray(fine) > 127
    core = inside.copy()
    for axis in (0, 1):
        for by in (-1, 1):
            core &= np.roll(inside, by, axis) | _edge(inside.shape, axis, by)
    line = Image.fromarray(255 * (inside & ~core).astype(np.uint8)).resize(
        (width, height), Image.Resampling.BOX
    )
    return _blended(slide, np.array(_OUTLINE), np.minimum(1, np.asarray(line) / 128))


def _edge(shape: tuple[int, int], axis: int, by: int) -> Array:
    """Return the row or column that a roll takes from the other end."""
    edge = np.zeros(shape, bool)
    edge[(slice(None),) * axis + (0 if by > 0 else -1,)] = True
    return edge


def _blended(slide: Array, colours: Array, share: Array) -> Array:
    """Return the slide under colours (..., 3) with a share (h, w) in [0, 1]."""
    return np.rint(slide + share[..., None] * (colours - slide.astype(float))).astype(np.uint8)


def _class_panel(slide: Array, write: Write, classes: zarr.Array) -> Panel:
    colours, share = np.zeros((256, 3)), np.zeros(256)
    for item in write.legend:
        colours[item.value], share[item.value] = item.rgb, CLASS_SHARE
    thinned = Image.fromarray(_thinned(classes)).resize(slide.shape[1::-1], Image.Resampling.NEAREST)
    shown = np.asarray(thinned)
    counts = _histogram(classes)[[item.value for item in write.legend]]
    total = max(1, int(counts.sum()))
    legend = [
        (f"{item.name} {count / total:.0%}", item.rgb)
        for item, count in zip(write.legend, counts, strict=True)
        if count > 0
    ]
    title = f"{write.title} ({origin(write)})" if origin(write) else write.title
    return Panel(title, _blended(slide, colours[shown], share[shown]), legend)


def _histogram(classes: zarr.Array) -> Array:
    """Return the histogram (256 bins) of a stored uint8 array, read in bands."""
    bands = (np.asarray(classes[y : y + CLASS_BAND_PX]) for y in range(0, classes.shape[0], CLASS_BAND_PX))
    return np.sum([np.bincount(band.ravel(), minlength=256) for band in bands], axis=0)


def _density_panel(slide: Array, plan: Plan, nuclei: dict[str, Array]) -> Panel:
    grid, downsample = plan.facts.grid, plan.downsample(NUCLEI)
    cell_px = DENSITY_CELL_UM / (grid.mpp * downsample)
    y, x = ((nuclei[f"min_{axis}"] + nuclei[f"max_{axis}"] + 1) / 2 / cell_px for axis in "yx")
    sides = grid.shape_at(downsample)
    cells = [int(-(-side // cell_px)) for side in sides]
    counts = np.histogram2d(y, x, bins=cells, range=[[0, cells[0]], [0, cells[1]]])[0]
    density = counts / (DENSITY_CELL_UM / 1000) ** 2
    most = float(density.max()) or 1.0
    # The last row and column of cells may reach beyond the canvas: each px takes the cell that it lies in.
    rows, columns = (
        ((np.arange(count) + 0.5) * side / count / cell_px).astype(int)
        for count, side in zip(slide.shape[:2], sides, strict=True)
    )
    shown = density[rows[:, None], columns]
    pixels = _blended(slide, colours_of(shown / most), np.where(shown > 0, BAR_SHARE, 0))
    return Panel("nuclei per mm²", pixels, note=f"{nuclei['id'].size:,} nuclei", bar=most)
