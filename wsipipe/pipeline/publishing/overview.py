"""Draw ``overview.png``: tissue, classes and density of nuclei."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import zarr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch as Swatch

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.geometry import Array, Region
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan, origin
from wsipipe.pipeline.reporting.outcome import SlideWarning
from wsipipe.stages.nuclei.number import NUMBERED
from wsipipe.stages.nuclei.relabel import NUCLEI
from wsipipe.stages.stage import Write
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.tables import load_table

LONGEST_SIDE_PX = 640
"""Longest side of a panel's image, about that of the panel; Matplotlib needs about 100 bytes per px."""
BAND_PX = 1 << 18
CLASS_BAND_PX = 512
DENSITY_CELL_UM = 128.0


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
    extent_mm = (0.0, grid.shape[1] * grid.mpp / 1000, grid.shape[0] * grid.mpp / 1000, 0.0)
    thumbnail = _thumbnail(plan, inputs)
    panels: list[tuple[str, Callable[[Axes], None]]] = [
        ("tissue", lambda axes: _draw_tissue(axes, _thinned(inputs.array(TISSUE)), extent_mm))
    ]
    for _, write in plan.published("label"):
        if write.legend and write.name != TISSUE:
            title = f"{write.title} ({origin(write)})" if origin(write) else write.title
            panels.append((title, partial(_draw_classes, write=write, inputs=inputs, extent_mm=extent_mm)))
    if any(stage.nuclei_rows for stage in plan.stages):
        nuclei = load_table(tables / f"{NUMBERED}.npz")
        panels.append(
            ("nuclei per mm²", partial(_draw_density, plan=plan, nuclei=nuclei, extent_mm=extent_mm))
        )
    height = 5.0 * min(2.0, max(0.4, grid.shape[0] / grid.shape[1])) + 0.9
    figure = Figure(figsize=(5.6 * len(panels), height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for (title, draw), axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        axes.imshow(thumbnail, extent=extent_mm, interpolation="antialiased")
        draw(axes)
        axes.set(title=title, xlabel="mm", xlim=extent_mm[:2], ylim=extent_mm[2:])
    title = f"{plan.slide.slide_id} · {RESEARCH_USE_NOTICE}"
    if warnings:
        title += "\nWARNING: " + ", ".join(dict.fromkeys(warning.code for warning in warnings))
    figure.suptitle(title, fontsize=9, color="#b00020" if warnings else "black")
    figure.savefig(path, metadata={"Software": None})


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


def _draw_tissue(axes: Axes, tissue: Array, extent_mm: tuple[float, ...]) -> None:
    if min(tissue.shape) > 1 and (tissue == 1).any() and (tissue != 1).any():
        axes.contour(tissue == 1, [0.5], colors="#0050c8", linewidths=0.8, extent=extent_mm, origin="upper")


def _draw_classes(axes: Axes, write: Write, inputs: ShardInputs, extent_mm: tuple[float, ...]) -> None:
    classes = inputs.array(write.name)
    colours = np.zeros((256, 4), np.uint8)
    for item in write.legend:
        colours[item.value] = [*item.rgb, 140]
    axes.imshow(colours[_thinned(classes)], extent=extent_mm, interpolation="nearest")
    counts = _histogram(classes)[[item.value for item in write.legend]]
    swatches = [
        Swatch(color=[channel / 255 for channel in item.rgb], label=f"{item.name} {share:.0%}")
        for item, share in zip(write.legend, counts / max(1, int(counts.sum())), strict=True)
        if share > 0
    ]
    axes.legend(handles=swatches, fontsize=7, loc="upper left", framealpha=0.85)


def _histogram(classes: zarr.Array) -> Array:
    """Return the histogram (256 bins) of a stored uint8 array, read in bands."""
    bands = (np.asarray(classes[y : y + CLASS_BAND_PX]) for y in range(0, classes.shape[0], CLASS_BAND_PX))
    return np.sum([np.bincount(band.ravel(), minlength=256) for band in bands], axis=0)


def _draw_density(axes: Axes, plan: Plan, nuclei: dict[str, Array], extent_mm: tuple[float, ...]) -> None:
    grid, downsample = plan.facts.grid, plan.downsample(NUCLEI)
    cell_px = DENSITY_CELL_UM / (grid.mpp * downsample)
    y, x = ((nuclei[f"min_{axis}"] + nuclei[f"max_{axis}"] + 1) / 2 / cell_px for axis in "yx")
    cells = [int(-(-side // cell_px)) for side in grid.shape_at(downsample)]
    counts = np.histogram2d(y, x, bins=cells, range=[[0, cells[0]], [0, cells[1]]])[0]
    edge_mm = DENSITY_CELL_UM / 1000
    density = np.ma.masked_equal(counts / edge_mm**2, 0)
    extent = (0.0, cells[1] * edge_mm, cells[0] * edge_mm, 0.0)
    shown = axes.imshow(density, extent=extent, cmap="viridis", alpha=0.65, interpolation="nearest", vmin=0)
    axes.figure.colorbar(shown, ax=axes, shrink=0.7)
    axes.text(0.02, 0.98, f"{nuclei['id'].size:,} nuclei", transform=axes.transAxes, va="top", fontsize=8)
