"""Summarise a slide: all tissue, each tissue class, each region of interest."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wsipipe.geometry import Array
from wsipipe.pipeline.execution.nuclei_part import nucleus_types
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.checks import tissue_area, value_counts
from wsipipe.pipeline.publishing.nuclei_counts import count_positivity, count_types
from wsipipe.pipeline.reporting.batch_summary import ALL_TISSUE
from wsipipe.stages.classify import CLASS_MAP
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.names import NUCLEI_TABLE, SUMMARY
from wsipipe.store.regions import Regions, within_regions

REGION = "region: {}"
QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}
_BAND_PX = 512
_NO_MEASURES = ("id", "tissue_class", "type", "region", "polygon", "dab_class", "positive")
Row = dict[str, str | float | int | None]


def write_summary(plan: Plan, inputs: ShardInputs, folder: Path, regions: Regions) -> None:
    """Write ``summary.csv`` of a slide.

    There is a row for all tissue, for each tissue class, and for the tissue in each region of interest.
    Columns are ``class``, ``area_mm2``, ``area_share`` (of all tissue), ``nuclei``, ``nuclei_per_mm2``,
    ``nuclei_area_share``, and for each measure of the nuclei ``NAME_mean``, ``NAME_p10``, ``NAME_median``,
    ``NAME_p90``. Values are the same for every orientation of the slide.

    Args:
        plan: Plan of the slide.
        inputs: Finished arrays of the slide.
        folder: Folder with the nuclei table, if nuclei were computed, and of the summary.
        regions: Regions of interest by name.
    """
    rows = [*_areas(plan, inputs), *_region_areas(plan, inputs, regions)]
    tissue = float(rows[0]["area_mm2"] or 0)
    for row in rows:
        row["area_share"] = round(float(row["area_mm2"] or 0) / tissue, 6) if tissue else None
    if any(stage.nuclei_rows for stage in plan.stages):
        _add_nuclei(plan, rows, folder / NUCLEI_TABLE, regions)
    with (folder / SUMMARY).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _areas(plan: Plan, inputs: ShardInputs) -> Iterator[Row]:
    """Yield the area of all tissue, then of each tissue class."""
    yield _area_row(ALL_TISSUE, tissue_area(plan, inputs))
    for stage, write in plan.published("label"):
        if write.name == CLASS_MAP:
            counts = value_counts(inputs.array(write.name))
            mm2 = (plan.facts.grid.mpp * stage.downsample / 1000) ** 2
            yield from (_area_row(item.name, counts[item.value] * mm2) for item in write.legend)


def _region_areas(plan: Plan, inputs: ShardInputs, regions: Regions) -> Iterator[Row]:
    """Yield the area of tissue in each region.

    A pixel of the tissue mask counts where its centre lies.
    """
    if not regions:
        return
    downsample, array = plan.downsample(TISSUE), inputs.array(TISSUE)
    offset_y, offset_x, step = plan.facts.grid.affine_at(downsample)
    counts = dict.fromkeys(regions, 0)
    for y in range(0, array.shape[0], _BAND_PX):
        tissue = np.argwhere(np.asarray(array[y : y + _BAND_PX]) == 1)
        centres = (tissue + np.array([y + 0.5, 0.5])) * step + (offset_y, offset_x)
        for name, inside in within_regions(regions, centres).items():
            counts[name] += int(inside.sum())
    mm2 = (plan.facts.grid.mpp * downsample / 1000) ** 2
    for name, count in counts.items():
        yield _area_row(REGION.format(name), count * mm2)


def _area_row(name: str, area_mm2: float) -> Row:
    return {"class": name, "area_mm2": round(float(area_mm2), 6)}


def _add_nuclei(plan: Plan, rows: list[Row], table: Path, regions: Regions) -> None:
    found = pq.read_table(table, columns=["tissue_class", "centroid_y_px0", "centroid_x_px0"])
    classes, *axes = found.columns
    chosen: dict[object, Array | None] = {row["class"]: _is(classes, row["class"]) for row in rows}
    chosen[ALL_TISSUE] = None
    within = within_regions(regions, np.stack([axis.to_numpy() for axis in axes], axis=1))
    chosen |= {REGION.format(name): inside for name, inside in within.items()}
    for row in rows:
        here = chosen[row["class"]]
        count = len(classes) if here is None else int(here.sum())
        area = row["area_mm2"]
        row["nuclei"] = count
        row["nuclei_per_mm2"] = round(count / float(area), 3) if area else None
    _add_nuclei_area(rows, chosen, table)
    _add_types([*nucleus_types(plan)], rows, chosen, table)
    _add_positivity(rows, chosen, table)
    for name in _measures(table):
        column = pq.read_table(table, columns=[name])[name]
        values = column.cast("float64").to_numpy()
        for row in rows:
            here = chosen[row["class"]]
            row |= _distribution(name, values if here is None else values[here])


def _add_types(names: list[str], rows: list[Row], chosen: dict[object, Array | None], table: Path) -> None:
    """Add the number of nuclei of each type, also of those that none has."""
    if not names:
        return
    types = pq.read_table(table, columns=["type"])["type"]
    for row in rows:
        counts = count_types(_chosen(types, chosen[row["class"]]), names)
        row |= {f"nuclei: {name}": count for name, count in counts.items()}


def _add_positivity(rows: list[Row], chosen: dict[object, Array | None], table: Path) -> None:
    """Add the share of positive nuclei and the H-score, where DAB was measured."""
    if "dab_class" not in pq.read_schema(table).names:
        return
    classes = pq.read_table(table, columns=["dab_class"])["dab_class"]
    for row in rows:
        found = count_positivity(_chosen(classes, chosen[row["class"]]))
        row["positive_percent"] = None if found.percent is None else round(found.percent, 3)
        row["h_score"] = None if found.score is None else round(found.score, 3)


def _add_nuclei_area(rows: list[Row], chosen: dict[object, Array | None], table: Path) -> None:
    """Add the share of each area that its nuclei cover."""
    areas = pq.read_table(table, columns=["area_um2"])["area_um2"].cast("float64").to_numpy()
    for row in rows:
        here, mm2 = chosen[row["class"]], float(row["area_mm2"] or 0)
        # In order of size, so that the sum does not depend on the order of the nuclei.
        covered = np.sort(areas if here is None else areas[here]).sum()
        row["nuclei_area_share"] = float(f"{covered / 1e6 / mm2:.6g}") if mm2 else None


def _chosen(column: pa.ChunkedArray, here: Array | None) -> pa.ChunkedArray:
    return column if here is None else column.filter(pa.array(here))


def _measures(table: Path) -> list[str]:
    names = pq.read_schema(table).names
    return [name for name in names if name not in _NO_MEASURES and not name.startswith("centroid")]


def _is(classes: Array, name: object) -> Array:
    return pc.fill_null(pc.equal(classes, name), False).to_numpy()


def _distribution(name: str, values: Array) -> Row:
    # In order of size, so that the sum does not depend on the order of the nuclei.
    known = np.sort(values[~np.isnan(values)])
    if not known.size:
        return {f"{name}_{part}": None for part in ("mean", *QUANTILES)}
    found = {f"{name}_mean": float(known.mean())}
    found |= {f"{name}_{part}": float(np.quantile(known, share)) for part, share in QUANTILES.items()}
    return {key: float(f"{value:.6g}") for key, value in found.items()}
