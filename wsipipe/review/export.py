"""Export a review: labels, table, GeoJSON, summary and training set."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wsipipe.common.atomic_files import storage_errors, write_json
from wsipipe.review.agreement import visited_mask
from wsipipe.review.journal.edit import JournalEntry
from wsipipe.review.reviewed_store import STORE, write_reviewed_labels
from wsipipe.review.slide import ReviewedSlide
from wsipipe.review.table import measured_schema, rejected, reviewed_schema, reviewed_tables
from wsipipe.review.training_set import write_training_set
from wsipipe.store.geojson import ClassStyle, write_nuclei_geojson, write_tissue_geojson
from wsipipe.store.geoparquet import with_columns
from wsipipe.store.neighbours import measure_neighbours
from wsipipe.store.nuclei_table import class_column
from wsipipe.store.regions import published_regions, region_column

TABLE = "nuclei_reviewed.parquet"
NUCLEI_GEOJSON = "nuclei_reviewed.geojson.gz"
TISSUE_GEOJSON = "tissue_class_reviewed.geojson"
SUMMARY = "summary.json"
TRAINING_SET = "corrections"
_VISITED_PX = 16
# As in wsipipe.store.geoparquet: GeoParquet 1.1.0, without a coordinate reference system.
_GEO = {
    "version": "1.1.0",
    "primary_column": "polygon",
    "columns": {"polygon": {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None}},
}


class ReviewSummary(TypedDict):
    """Contents of ``summary.json``; areas in mm2."""

    slide_id: str
    plan: str
    user: str
    reviewers: list[str]
    seen_mm2: float
    slide_mm2: float
    acts: dict[str, int]
    nuclei: dict[str, int]
    nuclei_by_class: dict[str, int]
    tissue_mm2_by_class: dict[str, dict[str, float]]
    rejected: list[dict[str, int | str]]
    comments: list[dict[str, int | str]]
    changes: list[dict[str, object]]
    training_fields: int
    labels: str


@dataclass(frozen=True)
class ExportedReview:
    """Files of an export.

    Attributes:
        folder: Folder of the files.
        summary: Contents of ``summary.json``.
    """

    folder: Path
    summary: ReviewSummary


def export_review(slide: ReviewedSlide) -> ExportedReview:
    """Write all files into ``reviews/USER``; existing files are replaced.

    Raises:
        StorageError: The folder cannot be written.
    """
    folder = slide.folder
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_reviewed_labels(slide)
    statuses: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    with storage_errors(folder):
        if slide.has_nuclei:
            statuses, classes = _write_table(slide, folder / TABLE)
        _write_geojson(slide, folder)
    fields = write_training_set(slide, folder / TRAINING_SET)
    summary = summarise(slide, statuses, classes, fields)
    write_json(folder / SUMMARY, summary)
    return ExportedReview(folder, summary)


def summarise(
    slide: ReviewedSlide, statuses: Counter[str], classes: Counter[str], fields: int
) -> ReviewSummary:
    """Summarise what was visited and edited.

    Args:
        slide: The review.
        statuses: Number of nuclei by status.
        classes: Number of nuclei by class.
        fields: Number of training fields.
    """
    px_mm2 = (slide.published.mpp / 1000) ** 2
    edits = Counter(entry.edit.kind for entry in slide.history.done)
    gone = rejected(slide)
    return {
        "slide_id": slide.published.slide_id,
        "plan": slide.published.plan,
        "user": slide.user,
        "reviewers": sorted({entry.user for entry in slide.history.done}),
        "seen_mm2": round(float(visited_mask(slide, _VISITED_PX).sum()) * _VISITED_PX**2 * px_mm2, 4),
        "slide_mm2": round(slide.shape[0] * slide.shape[1] * px_mm2, 4),
        "acts": dict(sorted(edits.items())),
        "nuclei": {**dict(sorted(statuses.items())), "rejected": len(gone)},
        "nuclei_by_class": dict(sorted(classes.items())),
        "tissue_mm2_by_class": _tissue_areas(slide),
        "rejected": gone,
        "comments": [
            {"y": at.y, "x": at.x, "text": text, "user": user} for at, text, user in slide.history.comments
        ],
        "changes": [_summary_of(entry) for entry in slide.history.done],
        "training_fields": fields,
        "labels": STORE,
    }


def _summary_of(entry: JournalEntry) -> dict[str, object]:
    edit = entry.edit
    shown = {"n": entry.number, "at": entry.at, "user": entry.user, "act": edit.kind, "ids": list(edit.ids)}
    return shown | ({"value": edit.value} if edit.value else {})


def _tissue_areas(slide: ReviewedSlide) -> dict[str, dict[str, float]]:
    """Return the reviewed area of each class, and its growth."""
    if not slide.has_tissue:
        return {}
    cell_mm2 = (slide.published.mpp * slide.published.class_downsample / 1000) ** 2
    now, before = slide.tissue(), np.asarray(slide.tissue_labels.published[...])
    areas = {}
    for item in slide.published.classes:
        is_now, was = int((now == item.value).sum()), int((before == item.value).sum())
        areas[item.name] = {"area": round(is_now * cell_mm2, 4), "grown": round((is_now - was) * cell_mm2, 4)}
    return areas


def _write_table(slide: ReviewedSlide, path: Path) -> tuple[Counter[str], Counter[str]]:
    statuses: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    measured = path.with_suffix(".measured")
    with pq.ParquetWriter(measured, measured_schema(slide), compression="zstd") as writer:
        for table in reviewed_tables(slide):
            writer.write_table(table)
            statuses.update(table["status"].to_pylist())
            classes.update(name or "no class" for name in table["class"].to_pylist())
    _add_columns(slide, measured, path)
    measured.unlink()
    return statuses, classes


def _add_columns(slide: ReviewedSlide, measured: Path, path: Path) -> None:
    """Write the table with neighbours and region of each nucleus after the review."""
    axes = pq.read_table(measured, columns=["centroid_y_px0", "centroid_x_px0"])
    centroids = np.stack([axis.to_numpy() for axis in axes.columns], axis=1)
    added = measure_neighbours(centroids, slide.published.affine, slide.published.mpp)
    added |= {"region": region_column(published_regions(slide.published.folder), centroids)}
    schema = reviewed_schema(slide).with_metadata({"geo": json.dumps(_GEO)})
    with pq.ParquetFile(measured) as file, pq.ParquetWriter(path, schema, compression="zstd") as writer:
        groups = (file.read_row_group(group) for group in range(file.num_row_groups))
        for table in with_columns(groups, added):
            writer.write_table(table.replace_schema_metadata(schema.metadata))


def _write_geojson(slide: ReviewedSlide, folder: Path) -> None:
    published = slide.published
    if slide.has_nuclei:
        colours = {item.name: item.rgb for item in published.classes} | published.nucleus_types
        write_nuclei_geojson(
            folder / NUCLEI_GEOJSON, _for_geojson(folder / TABLE), published.slide_id, colours
        )
    if slide.has_tissue:
        offset_y, offset_x, step = published.affine
        styles = {item.value: ClassStyle(item.name, item.rgb) for item in published.classes}
        affine = (offset_y, offset_x, step * published.class_downsample)
        mpp = published.mpp * published.class_downsample
        write_tissue_geojson(folder / TISSUE_GEOJSON, slide.tissue(), styles, affine, mpp, published.slide_id)


def _for_geojson(path: Path) -> Iterator[pa.Table]:
    """Read the reviewed table with the final class as type or tissue class."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            name = class_column(table.column_names)
            final = table.set_column(table.schema.get_field_index(name), name, table["class"])
            for start in range(0, final.num_rows, 4096):
                yield pc.take(final, pa.array(range(start, min(start + 4096, final.num_rows))))
