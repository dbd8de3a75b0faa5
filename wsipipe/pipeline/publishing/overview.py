"""Draw ``overview.png``: tissue, classes, density of nuclei and a close-up of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from PIL import Image, ImageDraw

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.common.colours import BLACK, REGION, WHITE
from wsipipe.geometry import Array, Region
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan, origin
from wsipipe.pipeline.publishing.closeup import closeup_panel, typical_place
from wsipipe.pipeline.publishing.density import density_map
from wsipipe.pipeline.publishing.panel_marks import BAR_SHARE, colours_of
from wsipipe.pipeline.publishing.panels import Panel, draw_panels, panel_shape
from wsipipe.pipeline.reporting.outcome import SlideWarning
from wsipipe.stages.nuclei.number import NUMBERED
from wsipipe.stages.nuclei.relabel import NUCLEI
from wsipipe.stages.stage import Write
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.store.tables import load_table

LONGEST_SIDE_PX = 1280
"""Longest side of the small pictures that the panels are made of, twice that of a panel."""
BAND_PX = 1 << 18
CLASS_BAND_PX = 512
CLASS_SHARE = 0.6
_PALE = 0.7


@dataclass(frozen=True)
class _Slide:
    """The slide as the panels show it.

    Attributes:
        rgb: The slide (h, w, 3) uint8.
        tissue: Mask (h, w) bool of tissue.
        um_per_px: Resolution of both.
    """

    rgb: Array
    tissue: Array
    um_per_px: float

    @property
    def pale(self) -> Array:
        """The slide in pale grey, on which colours keep their hue."""
        grey = self.rgb @ np.array([299, 587, 114]) / 1000
        return np.repeat(np.rint(255 - _PALE * (255 - grey)).astype(np.uint8)[..., None], 3, axis=2)


def draw_overview(
    plan: Plan, inputs: ShardInputs, tables: Path, path: Path, warnings: tuple[SlideWarning, ...] = ()
) -> None:
    """Draw the panels that the workflow has results for.

    Args:
        plan: Plan of the slide.
        inputs: Finished arrays of the slide.
        tables: Folder of the stages' tables.
        path: PNG file to write, beside the table of the nuclei.
        warnings: Warnings whose codes the title lists.
    """
    slide = _slide(plan, inputs)
    has_nuclei = any(stage.nuclei_rows for stage in plan.stages)
    nuclei = load_table(tables / f"{NUMBERED}.npz") if has_nuclei else {}
    place = typical_place(plan, nuclei) if has_nuclei else None
    panels = [_tissue_panel(plan, slide, inputs.array(TISSUE), place)]
    for _, write in plan.published("label"):
        if write.legend and write.name != TISSUE:
            panels.append(_class_panel(slide, write, inputs.array(write.name)))
    if place is not None:
        table = path.parent / NUCLEI_TABLE
        panels.append(_density_panel(slide, plan, inputs, table, nuclei["id"].size))
        panels.append(closeup_panel(plan, inputs, place, table))
    codes = ", ".join(dict.fromkeys(warning.code for warning in warnings))
    warning = f"WARNING: {codes}" if codes else ""
    figure = draw_panels(panels, plan.slide.slide_id, RESEARCH_USE_NOTICE, warning)
    figure.save(path, format="PNG", compress_level=3)


def _slide(plan: Plan, inputs: ShardInputs) -> _Slide:
    grid = plan.facts.grid
    height, width = panel_shape(grid.shape)
    rgb = Image.fromarray(_thumbnail(plan, inputs)).resize((width, height), Image.Resampling.BOX)
    mask = Image.fromarray(_thinned(inputs.array(TISSUE))).resize((width, height), Image.Resampling.NEAREST)
    return _Slide(np.asarray(rgb), np.asarray(mask) == 1, grid.shape[1] * grid.mpp / width)


def _thumbnail(plan: Plan, inputs: ShardInputs) -> Array:
    """Return an averaged thumbnail of the slide, RGB.

    It is read in bands, so that memory does not depend on the size of the slide.
    """
    downsample = _fine_downsample(plan)
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


def _fine_downsample(plan: Plan) -> int:
    """Return the coarsest downsample that is as fine as the panel.

    On a large slide it is that of the tissue, whose pixels have been read before.
    """
    grid, downsample = plan.facts.grid, plan.downsample(TISSUE)
    panel = max(panel_shape(grid.shape))
    while downsample > 1 and max(grid.shape) // downsample < panel:
        downsample //= 2
    return downsample


def _thinned(labels: zarr.Array) -> Array:
    """Return every n-th px of a stored array (H, W), so that its longest side fits."""
    every = _every(labels.shape)
    return np.ascontiguousarray(labels[::every, ::every])


def _every(shape: tuple[int, int]) -> int:
    return -(-max(shape) // LONGEST_SIDE_PX)


def _tissue_panel(plan: Plan, slide: _Slide, tissue: zarr.Array, place: Region | None) -> Panel:
    """Return the slide with the outline of its tissue and a frame."""
    shown = Image.fromarray(_outlined(slide.rgb, _thinned(tissue) == 1))
    if place is not None:
        scale = plan.facts.grid.mpp * plan.downsample(NUCLEI) / slide.um_per_px
        left, top = round(place.x * scale), round(place.y * scale)
        right, bottom = round(place.end_x * scale), round(place.end_y * scale)
        draw = ImageDraw.Draw(shown)
        draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), outline=WHITE, width=4)
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=BLACK, width=2)
    counts = _histogram(tissue)
    area_mm2 = int(counts[1]) * (plan.facts.grid.mpp * plan.downsample(TISSUE) / 1000) ** 2
    legend = [(f"tissue, {area_mm2:.3g} mm²", REGION)]
    if place is not None:
        legend.append(("place of the close-up", BLACK))
    return Panel("slide and tissue", np.asarray(shown), slide.um_per_px, legend)


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
    return _blended(slide, np.array(REGION), np.minimum(1, np.asarray(line) / 128))


def _edge(shape: tuple[int, int], axis: int, by: int) -> Array:
    """Return the row or column that a roll takes from the other end."""
    edge = np.zeros(shape, bool)
    edge[(slice(None),) * axis + (0 if by > 0 else -1,)] = True
    return edge


def _blended(slide: Array, colours: Array, share: Array) -> Array:
    """Return the slide under colours (..., 3) with a share (h, w) in [0, 1]."""
    return np.rint(slide + share[..., None] * (colours - slide.astype(float))).astype(np.uint8)


def _class_panel(slide: _Slide, write: Write, classes: zarr.Array) -> Panel:
    colours, share = np.zeros((256, 3)), np.zeros(256)
    for item in write.legend:
        colours[item.value], share[item.value] = item.rgb, CLASS_SHARE
    size = slide.rgb.shape[1::-1]
    shown = np.asarray(Image.fromarray(_thinned(classes)).resize(size, Image.Resampling.NEAREST))
    counts = _histogram(classes)[[item.value for item in write.legend]]
    total = max(1, int(counts.sum()))
    legend = [
        (f"{item.name} {count / total:.0%}", item.rgb)
        for item, count in zip(write.legend, counts, strict=True)
        if count > 0
    ]
    title = f"{write.title} ({origin(write)})" if origin(write) else write.title
    return Panel(title, _blended(slide.pale, colours[shown], share[shown]), slide.um_per_px, legend)


def _histogram(classes: zarr.Array) -> Array:
    """Return the histogram (256 bins) of a stored uint8 array, read in bands."""
    bands = (np.asarray(classes[y : y + CLASS_BAND_PX]) for y in range(0, classes.shape[0], CLASS_BAND_PX))
    return np.sum([np.bincount(band.ravel(), minlength=256) for band in bands], axis=0)


def _density_panel(slide: _Slide, plan: Plan, inputs: ShardInputs, table: Path, nuclei: int) -> Panel:
    found = density_map(plan, inputs, table)
    shape, most = slide.tissue.shape, found.most if found else 1.0
    shares = found.shares((shape[0], shape[1]), plan.facts.grid.shape) if found else np.zeros(shape)
    pixels = _blended(slide.pale, colours_of(shares), np.where(slide.tissue, BAR_SHARE, 0))
    note = f"{nuclei:,} nuclei"
    return Panel("nuclei per mm² of tissue, smoothed", pixels, slide.um_per_px, note=note, bar=most)
