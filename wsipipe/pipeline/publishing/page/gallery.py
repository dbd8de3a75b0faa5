"""Choose nuclei of a slide for its page, and crop them with their outlines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from wsipipe.geometry import Array, Region
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.page.pictures import jpeg_uri
from wsipipe.stages.stage import Read
from wsipipe.stages.tile import image_name

NUCLEI_OF_A_KIND = 12
SIDE_UM = 48.0
"""Side of the picture of a nucleus, um."""
_JUDGED = (
    *("area_um2", "eccentricity", "solidity", "probability"),
    *("mean_red", "mean_green", "mean_blue"),
)
_SHOWN = ("id", "centroid_y_px0", "centroid_x_px0", "area_um2", "probability", "tissue_class", "type")


@dataclass(frozen=True)
class NucleusCrop:
    """Picture of a nucleus.

    Attributes:
        id: Value in ``labels/nuclei``.
        picture: Address that holds the picture.
        outline: Path of SVG, px of the picture.
        area_um2: Area, um2.
        probability: Mean probability of its pixels.
        kind: Type, else tissue class; empty if unknown.
    """

    id: int
    picture: str
    outline: str
    area_um2: float
    probability: float
    kind: str


@dataclass(frozen=True)
class Gallery:
    """Pictures of nuclei that were chosen in one way.

    Attributes:
        title: How they were chosen, in a word or two.
        text: How they were chosen, in a sentence.
        side_px: Side of each picture, px.
        crops: The nuclei.
    """

    title: str
    text: str
    side_px: int
    crops: tuple[NucleusCrop, ...]


def galleries(plan: Plan, inputs: ShardInputs, table: Path) -> Iterator[Gallery]:
    """Yield random, most typical and most doubtful nuclei; none for a slide without nuclei.

    Args:
        plan: Plan of the slide.
        inputs: Finished arrays of the slide.
        table: The nuclei table.
    """
    with pq.ParquetFile(table) as file:
        names = [name for name in dict.fromkeys((*_SHOWN, *_JUDGED)) if name in file.schema_arrow.names]
        rows = file.read(columns=names)
        if not rows.num_rows:
            return
        side_px = 2 * round(SIDE_UM / plan.facts.grid.mpp / 2)
        choices = [*_choices(rows)]
        polygons = _polygons(file, {int(row) for _, _, chosen in choices for row in chosen})
    for title, text, chosen in choices:
        crops = tuple(_crop(plan, inputs, polygons[row], _of_row(rows, row), side_px) for row in chosen)
        yield Gallery(title, text, side_px, crops)


def _of_row(rows: pa.Table, row: int) -> dict[str, Any]:
    return {name: rows[name][row].as_py() for name in _SHOWN if name in rows.column_names}


def _choices(rows: pa.Table) -> Iterator[tuple[str, str, Array]]:
    yield "Random", "Drawn at random from all nuclei, by a fixed seed.", random_rows(rows.num_rows)
    judged = [_numbers(rows, name) for name in _JUDGED if name in rows.column_names]
    text = "Nearest to the median of all nuclei in area, shape, colour and probability, nearest first."
    yield "Most typical", text, typical_rows(judged)
    text = "Lowest mean probability, lowest first: look here first for what is no nucleus."
    yield "Most doubtful", text, doubtful_rows(_numbers(rows, "probability"))


def _numbers(rows: pa.Table, name: str) -> Array:
    return rows[name].cast("float32").to_numpy()


def random_rows(count: int) -> Array:
    """Return random rows of a table of ``count`` rows, ascending; always the same."""
    found = np.random.default_rng(0).choice(count, min(count, NUCLEI_OF_A_KIND), replace=False)
    return np.sort(found)


def typical_rows(measures: Sequence[Array]) -> Array:
    """Return the rows nearest to the medians.

    Distances are measured in medians of the absolute deviations.

    Args:
        measures: Values (n,) of each measure; unknown ones do not count.
    """
    distance = np.zeros(len(measures[0]))
    for values in measures:
        if np.isnan(values).all():
            continue
        away = np.abs(values - np.nanmedian(values))
        distance += np.nan_to_num(away / (np.nanmedian(away) or 1.0)) ** 2
    return np.argsort(distance, kind="stable")[:NUCLEI_OF_A_KIND]


def doubtful_rows(probability: Array) -> Array:
    """Return the rows of lowest probability; unknown ones come last."""
    return np.argsort(probability, kind="stable")[:NUCLEI_OF_A_KIND]


def _crop(
    plan: Plan, inputs: ShardInputs, polygon: bytes, found: dict[str, Any], side_px: int
) -> NucleusCrop:
    grid = plan.facts.grid
    offset, step = np.array(grid.offset_px0), grid.step_px0
    centre = (np.array([found["centroid_y_px0"], found["centroid_x_px0"]]) - offset) / step
    y, x = (round(place - side_px / 2) for place in centre)
    read = Read(image_name(0), 1, outside=255)
    pixels = inputs.read(read, Region(y, x, side_px, side_px)).pixels
    corners = shapely.get_coordinates(shapely.from_wkb(polygon))[:, ::-1]
    outline = (corners - offset) / step - (y, x)
    kind = found.get("type") or found.get("tissue_class") or ""
    return NucleusCrop(
        found["id"], jpeg_uri(pixels), svg_path(outline), found["area_um2"], found["probability"], kind
    )


def _polygons(file: pq.ParquetFile, rows: set[int]) -> dict[int, bytes]:
    """Return the polygons of some rows; only their row groups are read, one at a time."""
    found: dict[int, bytes] = {}
    first = 0
    for group in range(file.num_row_groups):
        stop = first + file.metadata.row_group(group).num_rows
        here = [row for row in rows if first <= row < stop]
        if here:
            column = file.read_row_group(group, columns=["polygon"])["polygon"]
            found |= {row: column[row - first].as_py() for row in here}
        first = stop
    return found


def svg_path(corners: Array) -> str:
    """Return a closed path of SVG through corners (n, 2) (y, x)."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for y, x in corners) + "Z"
