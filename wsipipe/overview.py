"""Slide -> ``overview.png``: tissue outline, class colours with legend, and nuclei per mm2, side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch as Swatch

from wsipipe.geometry import Array
from wsipipe.notice import NOTICE
from wsipipe.plan import Plan
from wsipipe.sources import Sources
from wsipipe.stages.classify import CLASS_MAP
from wsipipe.stages.instances import NUCLEI
from wsipipe.stages.tissue import TISSUE
from wsipipe.worker import load_table

LONGEST_SIDE_PX = 1200
DENSITY_CELL_UM = 128.0


def draw_overview(plan: Plan, sources: Sources, tables: Path, path: Path) -> None:
    """Draws the panels that the workflow has results for.

    Args:
        plan: Of the slide.
        sources: Its finished arrays.
        tables: Folder of the stages' tables.
        path: The PNG to write.
    """
    frame = plan.facts.frame
    extent_mm = (0.0, frame.shape[1] * frame.mpp / 1000, frame.shape[0] * frame.mpp / 1000, 0.0)
    thumbnail = _thumbnail(plan, sources)
    panels: list[tuple[str, Callable[[Any], None]]] = [
        ("tissue", lambda axes: _draw_tissue(axes, _thinned(sources.array(TISSUE)[...]), extent_mm))
    ]
    if plan.workflow.classify:
        panels.append(("tissue class", lambda axes: _draw_classes(axes, plan, sources, extent_mm)))
    if plan.workflow.segment:
        nuclei = load_table(tables / "grow.npz")
        panels.append(("nuclei per mm²", lambda axes: _draw_density(axes, plan, nuclei, extent_mm)))
    height = 5.0 * min(2.0, max(0.4, frame.shape[0] / frame.shape[1])) + 0.9
    figure = Figure(figsize=(5.6 * len(panels), height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for (title, draw), axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        axes.imshow(thumbnail, extent=extent_mm, interpolation="antialiased")
        draw(axes)
        axes.set(title=title, xlabel="mm", xlim=extent_mm[:2], ylim=extent_mm[2:])
    figure.suptitle(f"{plan.slide.slide_id} · {NOTICE}", fontsize=9)
    figure.savefig(path, metadata={"Software": None})


def _thumbnail(plan: Plan, sources: Sources) -> Array:
    downsample = plan.downsample(TISSUE)
    return _thinned(sources.canvas.read_coarse(downsample)[0])


def _thinned(pixels: Array) -> Array:
    """Every n-th px, so that the longest side fits: matplotlib takes some 100 bytes for each."""
    every = -(-max(pixels.shape[:2]) // LONGEST_SIDE_PX)
    return np.ascontiguousarray(pixels[::every, ::every])


def _draw_tissue(axes: Any, tissue: Array, extent_mm: tuple[float, ...]) -> None:
    if (tissue == 1).any() and (tissue != 1).any():
        axes.contour(tissue == 1, [0.5], colors="#0050c8", linewidths=0.8, extent=extent_mm, origin="upper")


def _draw_classes(axes: Any, plan: Plan, sources: Sources, extent_mm: tuple[float, ...]) -> None:
    outputs = plan.cards["classify"].outputs
    classes = sources.array(CLASS_MAP)[...]
    colours = np.zeros((256, 4))
    for value, output in enumerate(outputs):
        colours[value] = [*(channel / 255 for channel in output.color), 0.55]
    axes.imshow(colours[_thinned(classes)], extent=extent_mm, interpolation="nearest")
    counts = np.bincount(classes.ravel(), minlength=256)[: len(outputs)]
    swatches = [
        Swatch(color=[channel / 255 for channel in output.color], label=f"{output.name} {share:.0%}")
        for output, share in zip(outputs, counts / max(1, int(counts.sum())), strict=True)
        if share > 0
    ]
    axes.legend(handles=swatches, fontsize=7, loc="upper left", framealpha=0.85)


def _draw_density(axes: Any, plan: Plan, nuclei: dict[str, Array], extent_mm: tuple[float, ...]) -> None:
    frame, downsample = plan.facts.frame, plan.downsample(NUCLEI)
    cell_px = DENSITY_CELL_UM / (frame.mpp * downsample)
    y, x = ((nuclei[f"min_{axis}"] + nuclei[f"max_{axis}"] + 1) / 2 / cell_px for axis in "yx")
    cells = [int(-(-side // cell_px)) for side in frame.shape_at(downsample)]
    counts = np.histogram2d(y, x, bins=cells, range=[[0, cells[0]], [0, cells[1]]])[0]
    edge_mm = DENSITY_CELL_UM / 1000
    density = np.ma.masked_equal(counts / edge_mm**2, 0)
    extent = (0.0, cells[1] * edge_mm, cells[0] * edge_mm, 0.0)
    shown = axes.imshow(density, extent=extent, cmap="viridis", alpha=0.65, interpolation="nearest", vmin=0)
    axes.figure.colorbar(shown, ax=axes, shrink=0.7)
    axes.text(0.02, 0.98, f"{nuclei['id'].size:,} nuclei", transform=axes.transAxes, va="top", fontsize=8)
