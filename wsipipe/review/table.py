"""A session -> the reviewed table of nuclei: untouched rows as published, touched ones measured anew."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wsipipe.geometry import Array, Region
from wsipipe.review.slide import Look
from wsipipe.stages.nuclei.table import TissueMap, measure
from wsipipe.store.arrays import read_region
from wsipipe.store.encoding import PROBABILITY_MAX
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.store.nuclei_table import SCHEMA
from wsipipe.store.tables import Table

REVIEW_FIELDS = (
    pa.field("status", pa.string(), nullable=False),
    pa.field("class", pa.string()),
    pa.field("reviewed_by", pa.string()),
    pa.field("reviewed_at", pa.string()),
)
REVIEWED_SCHEMA = pa.schema([*SCHEMA, *REVIEW_FIELDS])
"""Columns of ``table.SCHEMA``, then what the reviewer said: ``status`` is ``published`` (nobody acted on it),
``accepted``, ``changed`` or ``new``; ``class`` is the class given by hand, else ``tissue_class``."""


def reviewed_tables(look: Look) -> Iterator[pa.Table]:
    """Tables of :data:`REVIEWED_SCHEMA`, ordered by id, new nuclei last; rejected ones are gone."""
    touched = look.state.touched
    path = look.source.folder / NUCLEI_TABLE
    if path.is_file():
        yield from _published(look, path, touched)
    new = sorted(i for i in touched if look.source.nuclei.row(i) is None and look.area_px(i) > 0)
    if new:
        yield pa.concat_tables([_measured(look, identity) for identity in new])


def rejected(look: Look) -> list[dict[str, Any]]:
    """Published nuclei that are gone: id, who and when."""
    gone = sorted(
        i for i in look.state.touched if look.source.nuclei.row(i) is not None and look.area_px(i) <= 0
    )
    verdicts = [(identity, look.verdict(identity)) for identity in gone]
    return [{"id": i, "user": verdict.user, "at": verdict.at} for i, verdict in verdicts if verdict]


def _published(look: Look, path: Path, touched: set[int]) -> Iterator[pa.Table]:
    changed_tissue = look.changed_tissue
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            here = np.isin(table["id"].to_numpy(), list(touched))
            if changed_tissue is not None:
                table = _reclassed(look, table, changed_tissue)
            kept = _with_review(look, table.filter(pa.array(~here)))
            ids = table["id"].to_numpy()[here].tolist()
            rows = [_measured(look, identity) for identity in ids if look.area_px(identity) > 0]
            yield pa.concat_tables([kept, *rows]).sort_by("id")


def _reclassed(look: Look, table: pa.Table, changed: Array) -> pa.Table:
    """Nuclei whose centre lies in changed tissue get its class."""
    offset_y, offset_x, step = look.source.affine
    y = (table["centroid_y_px0"].to_numpy() - offset_y) / step
    x = (table["centroid_x_px0"].to_numpy() - offset_x) / step
    cells = look.cells(y, x)
    names = {item.value: item.name for item in look.source.classes}
    values, published = look.tissue()[cells], table["tissue_class"].to_pylist()
    classes = [
        names.get(int(value)) if there else old
        for value, there, old in zip(values, changed[cells], published, strict=True)
    ]
    column = table.schema.get_field_index("tissue_class")
    return table.set_column(column, "tissue_class", pa.array(classes, pa.string()))


def _measured(look: Look, identity: int) -> pa.Table:
    """One nucleus as it is now."""
    box = look.box(identity).clipped(look.shape)
    labels = look.labels(box)
    inside = labels == identity
    rows: Table = {
        "id": np.array([identity], np.uint32),
        "area": np.array([inside.sum()]),
        "nucleus": np.array([_probability_sum(look, box, inside)]),
    }
    affine, mpp = look.source.affine, look.source.mpp
    table = measure(labels, rows, box, affine, mpp, _image(look, box), _tissue(look))
    return _with_review(look, table)


def _probability_sum(look: Look, box: Region, inside: Array) -> float:
    probabilities = look.source.result.probabilities
    if "nucleus" not in probabilities:
        return 0.0
    stored = read_region(probabilities["nucleus"], box, 0)[inside].astype(np.int64)
    return float(np.where(stored > PROBABILITY_MAX, 0, stored).sum())


def _image(look: Look, box: Region) -> Array | None:
    image = look.source.result.image
    return np.moveaxis(read_region(image[0], box, 255), 0, 2) if image else None


def _tissue(look: Look) -> TissueMap | None:
    if not look.has_tissue:
        return None
    offset_y, offset_x, step = look.source.affine
    names = {item.value: item.name for item in look.source.classes}
    return TissueMap(look.tissue(), names, (offset_y, offset_x, step * look.source.class_downsample))


def _with_review(look: Look, table: pa.Table) -> pa.Table:
    """Adds the reviewer's columns."""
    acted = look.state.touched
    columns: dict[str, list[str | None]] = {field.name: [] for field in REVIEW_FIELDS}
    ids, classes = table["id"].to_pylist(), table["tissue_class"].to_pylist()
    for identity, tissue_class in zip(ids, classes, strict=True):
        verdict = look.verdict(identity) if identity in acted else None
        is_new = look.source.nuclei.row(identity) is None
        status = "new" if is_new else verdict.status if verdict else "published"
        row: tuple[str | None, ...] = (status, tissue_class, None, None)
        if verdict:
            row = (status, verdict.class_name or tissue_class, verdict.user, verdict.at)
        for name, value in zip(columns, row, strict=True):
            columns[name].append(value)
    for field in REVIEW_FIELDS:
        table = table.append_column(field, pa.array(columns[field.name], field.type))
    return table.cast(REVIEWED_SCHEMA)
