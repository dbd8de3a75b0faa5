"""A session -> reviewed labels, table, GeoJSON, a summary, and corrections to learn from."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wsipipe.common.atomic_files import storage_errors, write_json
from wsipipe.review.agreement import seen
from wsipipe.review.reviewed_store import STORE, derive
from wsipipe.review.session import Session
from wsipipe.review.slide import Look
from wsipipe.review.table import REVIEWED_SCHEMA, rejected, reviewed_tables
from wsipipe.review.training_set import write_training_set
from wsipipe.store.geojson import ClassStyle, write_nuclei_geojson, write_tissue_geojson

TABLE = "nuclei_reviewed.parquet"
NUCLEI_GEOJSON = "nuclei_reviewed.geojson.gz"
TISSUE_GEOJSON = "tissue_class_reviewed.geojson"
SUMMARY = "summary.json"
TRAINING_SET = "corrections"
_SEEN_PX = 16
# The form of wsipipe.store.geoparquet: GeoParquet 1.1.0, glass has no place on the globe.
_GEO = {
    "version": "1.1.0",
    "primary_column": "polygon",
    "columns": {"polygon": {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None}},
}


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        folder: Where.
        summary: As in ``summary.json``.
    """

    folder: Path
    summary: dict[str, Any]


def export_review(session: Session) -> Exported:
    """Writes everything into ``reviews/USER``; repeating it replaces the files.

    Raises:
        StorageError: The folder cannot be written.
    """
    folder = session.folder
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    derive(session)
    with storage_errors(folder):
        statuses, classes = (
            _write_table(session, folder / TABLE) if session.has_nuclei else (Counter(), Counter())
        )
        _write_geojson(session, folder)
    fields = write_training_set(session, folder / TRAINING_SET)
    summary = summarise(session, statuses, classes) | {"training_fields": fields, "labels": STORE}
    write_json(folder / SUMMARY, summary)
    return Exported(folder, summary)


def summarise(look: Look, statuses: Counter[str], classes: Counter[str]) -> dict[str, Any]:
    """What was seen and done; areas in mm2.

    Args:
        look: The review.
        statuses: Nuclei by status.
        classes: Nuclei by class.
    """
    px_mm2 = (look.source.mpp / 1000) ** 2
    acts = Counter(entry.act.kind for entry in look.state.done)
    return {
        "slide_id": look.source.slide_id,
        "plan": look.source.plan,
        "user": look.user,
        "reviewers": sorted({entry.user for entry in look.state.done}),
        "seen_mm2": round(float(seen(look, _SEEN_PX).sum()) * _SEEN_PX**2 * px_mm2, 4),
        "slide_mm2": round(look.shape[0] * look.shape[1] * px_mm2, 4),
        "acts": dict(sorted(acts.items())),
        "nuclei": {**dict(sorted(statuses.items())), "rejected": len(rejected(look))},
        "nuclei_by_class": dict(sorted(classes.items())),
        "tissue_mm2_by_class": _tissue_areas(look),
        "rejected": rejected(look),
        "comments": [
            {"y": at.y, "x": at.x, "text": text, "user": user} for at, text, user in look.state.comments
        ],
        "changes": [
            {
                "n": entry.number,
                "at": entry.at,
                "user": entry.user,
                "act": entry.act.kind,
                "ids": list(entry.act.ids),
            }
            | ({"value": entry.act.value} if entry.act.value else {})
            for entry in look.state.done
        ],
    }


def _tissue_areas(look: Look) -> dict[str, dict[str, float]]:
    """Area of each class as reviewed, and by how much it grew."""
    if not look.has_tissue:
        return {}
    cell_mm2 = (look.source.mpp * look.source.class_downsample / 1000) ** 2
    now, before = look.tissue(), np.asarray(look.tissue_labels.published[...])
    areas = {}
    for item in look.source.classes:
        is_now, was = int((now == item.value).sum()), int((before == item.value).sum())
        areas[item.name] = {"area": round(is_now * cell_mm2, 4), "grown": round((is_now - was) * cell_mm2, 4)}
    return areas


def _write_table(look: Look, path: Path) -> tuple[Counter[str], Counter[str]]:
    statuses: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    schema = REVIEWED_SCHEMA.with_metadata({"geo": json.dumps(_GEO)})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in reviewed_tables(look):
            writer.write_table(table.replace_schema_metadata(schema.metadata))
            statuses.update(table["status"].to_pylist())
            classes.update(name or "no class" for name in table["class"].to_pylist())
    return statuses, classes


def _write_geojson(look: Look, folder: Path) -> None:
    source = look.source
    if look.has_nuclei:
        colours = {item.name: item.rgb for item in source.classes}
        write_nuclei_geojson(folder / NUCLEI_GEOJSON, _for_geojson(folder / TABLE), source.slide_id, colours)
    if look.has_tissue:
        offset_y, offset_x, step = source.affine
        styles = {item.value: ClassStyle(item.name, item.rgb) for item in source.classes}
        affine = (offset_y, offset_x, step * source.class_downsample)
        mpp = source.mpp * source.class_downsample
        write_tissue_geojson(folder / TISSUE_GEOJSON, look.tissue(), styles, affine, mpp, source.slide_id)


def _for_geojson(path: Path) -> Iterator[pa.Table]:
    """The reviewed table with the final class where the writer takes the class from."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            column = table.schema.get_field_index("tissue_class")
            final = table.set_column(column, "tissue_class", table["class"])
            for start in range(0, final.num_rows, 4096):
                yield pc.take(final, pa.array(range(start, min(start + 4096, final.num_rows))))
