"""Stages of the section ``quality``: focus by cells, then the faults of the whole slide.

``labels/quality`` is 0 on glass, 1 in good tissue, else the class of a fault, and 255 where nothing was
computed. Focus is measured shard by shard; the rest needs the colour of the slide's glass and one task.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wsipipe.common.block_mean import block_mean
from wsipipe.common.colours import BLUE, GREEN, PURPLE, SKY_BLUE, VERMILLION, YELLOW
from wsipipe.geometry import Array
from wsipipe.stages.grid import CanvasGrid, tissue_downsample
from wsipipe.stages.quality.blocks import block_sums, blockiness
from wsipipe.stages.quality.focus import MARGIN_PX, WINDOW_HALF_CELLS, focus_scores, grey_of
from wsipipe.stages.quality.params import QualityParams
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write
from wsipipe.stages.tile import image_name
from wsipipe.stages.tissue import OVERVIEW, TISSUE, tissue_write
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.store.ome_metadata import LabelClass
from wsipipe.store.tables import Table

QUALITY, FOCUS_STAGE, FOCUS = "quality", "focus", "scratch/focus"
LABELS = "labels/quality/0"
FOCUS_UM = 0.5
COARSEST_FOCUS_UM = 0.71
"""Um per px from which a canvas is too coarse to measure focus."""
CLASSES = {
    "good tissue": LabelClass(1, "good tissue", (170, 200, 120)),
    "blue": LabelClass(2, "blue ink", BLUE),
    "green": LabelClass(3, "green ink", GREEN),
    "red": LabelClass(4, "red ink", VERMILLION),
    "black": LabelClass(5, "black ink", (40, 40, 40)),
    "fold": LabelClass(6, "fold", PURPLE),
    "blur": LabelClass(7, "blur", YELLOW),
    "bubble": LabelClass(8, "bubble", SKY_BLUE),
}


@dataclass(frozen=True)
class FocusGrid:
    """Pixels in which focus is measured.

    Attributes:
        level: Level of the image with about 0.5 um/px.
        stored: Level that is read: the same, or the coarsest that is stored.
        cell_px: Side of a cell of 8 um, px of ``level``.
    """

    level: int
    stored: int
    cell_px: int


def focus_grid(grid: CanvasGrid, levels: int) -> FocusGrid | None:
    """Return the pixels in which focus is measured; None where the canvas is too coarse."""
    if grid.mpp >= COARSEST_FOCUS_UM:
        return None
    level = max(0, round(math.log2(FOCUS_UM / grid.mpp)))
    return FocusGrid(level, min(level, levels - 1), tissue_downsample(grid.mpp) >> level)


def focus_stage(focus: FocusGrid, grid: CanvasGrid, shard_px: int, tissue: str) -> Stage:
    """Declare the stage that measures focus.

    Args:
        focus: Pixels to measure.
        grid: The canvas.
        shard_px: Side of a shard of the canvas.
        tissue: Name of the array of tissue.
    """
    downsample = tissue_downsample(grid.mpp)
    halving = focus.level - focus.stored
    halo_px = (WINDOW_HALF_CELLS * focus.cell_px + MARGIN_PX) << halving
    image = Read(image_name(focus.stored), 1 << focus.stored, halo_px, outside=255)
    cells = Read(tissue, downsample, WINDOW_HALF_CELLS, outside=NOT_COMPUTED)

    def kernel(shard: ShardInput) -> ShardOutput:
        scores = np.zeros((2, *shard.core.shape), np.uint8)
        inside, blocks = shard.read(tissue).pixels == 1, {}
        if inside.any():
            pixels = shard.read(image.name).pixels
            for _ in range(halving):
                pixels = block_mean(pixels)
            scores[:] = focus_scores(pixels, inside, focus.cell_px)
            blocks = _block_sums(pixels, inside, focus.cell_px)
        return ShardOutput({FOCUS: scores}, partial=blocks)

    def reduce(partials: dict[tuple[int, int], Table], _: Mapping[str, Table]) -> Table:
        kept = [partial for partial in partials.values() if partial]
        return {name: np.sum([each[name] for each in kept], axis=0) for name in (kept[0] if kept else {})}

    write = Write(FOCUS, "scratch", "uint8", 0, ("fine", "coarse"))
    side = max(1, shard_px // downsample)
    return Stage(FOCUS_STAGE, downsample, side, (image, cells), (write,), kernel, reduce)


def _block_sums(pixels: Array, tissue: Array, cell_px: int) -> Table:
    """Return the steps between the pixels of a shard; see :func:`block_sums`.

    Args:
        pixels: RGB uint8 of the cells and the margin of the stage.
        tissue: Tissue of the cells and ``WINDOW_HALF_CELLS`` on each side, (h, w) bool.
        cell_px: Side of a cell, px.
    """
    before = WINDOW_HALF_CELLS * cell_px + MARGIN_PX
    inner, half = np.s_[before - 1 : -before], WINDOW_HALF_CELLS
    return block_sums(grey_of(pixels[inner, inner]), tissue[half - 1 : -half, half - 1 : -half], cell_px)


def quality_stage(params: QualityParams, grid: CanvasGrid, shard_px: int, tissue: str, focus: bool) -> Stage:
    """Declare the stage that finds the faults of a slide.

    Args:
        params: Thresholds.
        grid: The canvas.
        shard_px: Side of a shard of the labels.
        tissue: Name of the array of tissue; if it is not the published one, that is written too.
        focus: Whether focus is measured.
    """
    downsample = tissue_downsample(grid.mpp)
    reads = [Read(OVERVIEW, downsample, outside=255), Read(tissue, downsample, outside=NOT_COMPUTED)]
    reads += [Read(FOCUS, downsample)] if focus else []

    def kernel(shard: ShardInput) -> ShardOutput:
        # scipy takes as long to import as everything else; only this task needs it.
        from wsipipe.stages.quality.faults import find_faults

        labels = shard.read(tissue).pixels
        scores = shard.read(FOCUS).pixels if focus else np.zeros((2, *labels.shape), np.uint8)
        overview = np.ascontiguousarray(np.moveaxis(shard.read(OVERVIEW).pixels, 0, 2))
        masks, measures = find_faults(overview, labels, scores, grid.mpp * downsample, params)
        measures |= blockiness(shard.tables.get(FOCUS_STAGE, {}))
        arrays = {LABELS: classes_of(masks, labels)}
        if tissue != TISSUE:
            arrays[TISSUE] = without_faults(labels, masks, params)
        return ShardOutput(arrays, partial=measures)

    writes = [Write(LABELS, "label", "uint8", NOT_COMPUTED, legend=tuple(CLASSES.values()), polygons=True)]
    writes += [tissue_write(TISSUE)] if tissue != TISSUE else []
    return Stage(
        QUALITY,
        downsample,
        shard_px,
        tuple(reads),
        tuple(writes),
        kernel,
        reduce=lambda partials, _: partials.get((0, 0), {}),
        single_task=True,
    )


def without_faults(labels: Array, masks: dict[str, Array], params: QualityParams) -> Array:
    """Return the tissue without the areas that the parameters leave out.

    Args:
        labels: Tissue found, (H, W) uint8.
        masks: Masks of ``pen``, ``fold``, ``blur`` and ``bubble``, (H, W) bool.
        params: Parameters.
    """
    left_out = np.any([np.zeros(labels.shape, bool), *(masks[name] for name in params.leave_out)], axis=0)
    return np.where(left_out & (labels == 1), 0, labels).astype(np.uint8)


def classes_of(masks: dict[str, Array], labels: Array) -> Array:
    """Return the class of each pixel; ink hides folds, and folds hide blur."""
    classes = (labels == 1).astype(np.uint8)
    for name in ("blur", "fold", "bubble", "black", "red", "green", "blue"):
        classes[masks[name]] = CLASSES[name].value
    classes[labels == NOT_COMPUTED] = NOT_COMPUTED
    return classes
