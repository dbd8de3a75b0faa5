"""Open nuclei of another program on the canvas of a slide."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.results.compare.label_file import LABEL_SUFFIXES, LabelFile, open_label_file
from wsipipe.results.compare.outlines import open_outlines
from wsipipe.store.geojson_files import stored_features
from wsipipe.store.geojson_outlines import crossing_outlines
from wsipipe.tiling.canvas import Canvas

GEOJSON_SUFFIXES = (".geojson", ".json", ".gz", ".zip")
_NEAR_PX = 1.0
"""Largest difference between the sides of a label map and of the slide, px: programs round differently."""


@dataclass(frozen=True)
class GivenNuclei:
    """Nuclei on the canvas of a slide.

    Attributes:
        read: Function that returns the ids (h, w) of a region of the canvas, 0 for background.
        classes: Class of nuclei by id; empty if they have none.
        warnings: What was left out or changed, in words.
        may_be_mask: Whether the map may be a mask without ids.
        outlines: Number of outlines inside the slide; None for a label map.
    """

    read: Callable[[Region], Array]
    classes: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    may_be_mask: bool = False
    outlines: int | None = None


@dataclass(frozen=True)
class LabelPlace:
    """Place of the pixels of a label map on the slide.

    Attributes:
        mpp: Um per px of the map.
        offset_px0: Its first corner (y, x) in level-0 px; None for a map of the whole slide.
    """

    mpp: float
    offset_px0: tuple[float, float] | None = None


@dataclass(frozen=True)
class _OutlineGrid:
    """Grid on which outlines are drawn."""

    shape: tuple[int, int]
    affine: tuple[float, float, float]


def open_given(path: Path, canvas: Canvas, place: LabelPlace) -> GivenNuclei:
    """Open a label map or GeoJSON.

    Args:
        path: TIFF, PNG, ``.npy``, a Zarr array or OME-Zarr image, or GeoJSON in level-0 px.
        canvas: The canvas on which the nuclei are wanted.
        place: Place of a label map.

    Raises:
        ConfigError: It does not exist, cannot be read, or does not fit the slide.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist. Name a label file or GeoJSON.")
    if path.is_dir() or path.suffix.lower() in LABEL_SUFFIXES:
        labels = open_label_file(path)
        offset = _checked_offset(path, labels, canvas, place)
        rows, columns = (_LabelAxis(canvas, place.mpp, offset, axis) for axis in (0, 1))
        return GivenNuclei(
            lambda region: _sampled(
                labels, rows.indices(region.y, region.end_y), columns.indices(region.x, region.end_x)
            ),
            may_be_mask=labels.dtype == np.uint8,
        )
    if path.suffix.lower() in GEOJSON_SUFFIXES:
        return _outlines(path, canvas)
    raise ConfigError(
        f"{path} is of no known kind. Name a label file ({', '.join(LABEL_SUFFIXES)}, Zarr) or GeoJSON."
    )


@dataclass(frozen=True)
class _LabelAxis:
    """One axis of the canvas and of a label map."""

    canvas: Canvas
    mpp: float
    offset_px0: tuple[float, float]
    axis: int

    def indices(self, start: int, end: int) -> Array:
        """Return the label px (n,) around the centres of canvas px.

        They may lie outside the map.
        """
        centres_px0 = self.canvas.offset_px[self.axis] + (np.arange(start, end) + 0.5) * self.canvas.step
        step = self.mpp / self.canvas.slide.mpp
        # A centre on the border of two px belongs to the second one, whatever the rounding.
        return np.floor((centres_px0 - self.offset_px0[self.axis]) / step + 1e-6).astype(np.int64)


def _sampled(labels: LabelFile, rows: Array, columns: Array) -> Array:
    """Return the ids (h, w) of rows and columns of a map, 0 outside it."""
    found = np.zeros((rows.size, columns.size), np.int64)
    height, width = labels.array.shape
    inside_y, inside_x = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    if not inside_y.any() or not inside_x.any():
        return found
    y, x = rows[inside_y], columns[inside_x]
    region = Region(int(y[0]), int(x[0]), int(y[-1] - y[0]) + 1, int(x[-1] - x[0]) + 1)
    found[np.ix_(inside_y, inside_x)] = labels.read(region)[np.ix_(y - y[0], x - x[0])]
    return found


def _checked_offset(path: Path, labels: LabelFile, canvas: Canvas, place: LabelPlace) -> tuple[float, float]:
    """Return the offset of a label map.

    Raises:
        ConfigError: The map has another size than the slide, or reaches beyond it.
    """
    slide, step = canvas.slide, place.mpp / canvas.slide.mpp
    height, width = labels.array.shape
    if place.offset_px0 is None:
        wanted = slide.bounds.height / step, slide.bounds.width / step
        if max(abs(height - wanted[0]), abs(width - wanted[1])) > _NEAR_PX:
            raise ConfigError(
                f"{path} is {height} x {width} px, but {slide.path} is {wanted[0]:.0f} x {wanted[1]:.0f} px "
                f"at {place.mpp:g} um/px. Give the um/px of the labels with --labels-mpp, and --offset Y,X "
                "for labels of a part of the slide."
            )
        return 0.0, 0.0
    y, x = place.offset_px0
    beyond = max(-y, -x, y + height * step - slide.bounds.height, x + width * step - slide.bounds.width)
    if beyond > _NEAR_PX * step:
        raise ConfigError(
            f"{path} reaches {beyond:.0f} level-0 px beyond {slide.path}: it begins at y {y:g}, x {x:g} and "
            f"covers {height * step:.0f} x {width * step:.0f} of {slide.bounds.height} x "
            f"{slide.bounds.width} px. Correct --offset or --labels-mpp."
        )
    return y, x


def _outlines(path: Path, canvas: Canvas) -> GivenNuclei:
    grid = _OutlineGrid(canvas.shape, (*canvas.offset_px, canvas.step))
    found = open_outlines(path, grid)
    bounds = canvas.slide.bounds
    scanned = shapely.box(0, 0, bounds.width, bounds.height)
    problems = Counter(found.left_out)
    warnings = [f"left out: {count:,} {cause}" for cause, count in problems.items()]
    crossing = crossing_outlines(stored_features(path))
    if crossing:
        warnings.append(
            f"repaired, since they cross themselves: {len(crossing):,} outlines, first {crossing[0]}"
        )
    cut = found.beyond(shapely.transform(scanned, lambda points: (points - grid.affine[1::-1]) / canvas.step))
    if cut:
        warnings.append(f"cut at the edge of the slide: {cut:,} outlines")
    return GivenNuclei(found.read, found.classes, tuple(warnings), outlines=found.count)
