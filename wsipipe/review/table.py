"""The reviewed table of nuclei.

Untouched rows are as published, touched ones are measured again.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wsipipe.geometry import Array, Region
from wsipipe.review.slide import ReviewedSlide
from wsipipe.stages.nuclei.table import TissueMap, measure
from wsipipe.store.arrays import read_region
from wsipipe.store.encoding import PROBABILITY_MAX
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.store.nuclei_table import ADDED, TYPE_FIELDS, class_column, nuclei_schema, published_schema
from wsipipe.store.tables import Table

REVIEW_FIELDS = (
    pa.field("status", pa.string(), nullable=False),
    pa.field("class", pa.string()),
    pa.field("reviewed_by", pa.string()),
    pa.field("reviewed_at", pa.string()),
)


def measured_schema(slide: ReviewedSlide) -> pa.Schema:
    """Return the columns that are measured nucleus by nucleus, then those of the review.

    ``status`` is ``published`` (not edited), ``accepted``, ``changed`` or ``new``; ``class`` is the class
    given by hand, else ``type`` where there are types, else ``tissue_class``.
    """
    published = slide.published
    columns = nuclei_schema(bool(published.nucleus_types), published.positivity is not None)
    return pa.schema([*columns, *REVIEW_FIELDS])


def reviewed_schema(slide: ReviewedSlide) -> pa.Schema:
    """Return the columns of the published table, then those of the review."""
    columns = list(measured_schema(slide))[: -len(REVIEW_FIELDS)]
    return pa.schema([*published_schema(pa.schema(columns)), *REVIEW_FIELDS])


def reviewed_tables(slide: ReviewedSlide) -> Iterator[pa.Table]:
    """Yield tables of :func:`measured_schema`, ordered by id.

    New nuclei are last, rejected ones are left out.
    """
    touched = slide.history.touched
    path = slide.published.folder / NUCLEI_TABLE
    if path.is_file():
        yield from _published(slide, path, touched)
    new = sorted(i for i in touched if slide.published.nuclei.row(i) is None and slide.area_px(i) > 0)
    if new:
        yield pa.concat_tables([_measured(slide, identity) for identity in new])


def rejected(slide: ReviewedSlide) -> list[dict[str, int | str]]:
    """Return id, reviewer and time of published nuclei that were removed."""
    gone = sorted(
        i
        for i in slide.history.touched
        if slide.published.nuclei.row(i) is not None and slide.area_px(i) <= 0
    )
    decisions = [(identity, slide.decision(identity)) for identity in gone]
    return [{"id": i, "user": decision.user, "at": decision.at} for i, decision in decisions if decision]


def _published(slide: ReviewedSlide, path: Path, touched: set[int]) -> Iterator[pa.Table]:
    changed_tissue = slide.changed_tissue
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            # Without the neighbours, which the review may have changed.
            table = file.read_row_group(group)
            table = table.drop_columns([each.name for each in ADDED if each.name in table.column_names])
            here = np.isin(table["id"].to_numpy(), list(touched))
            if changed_tissue is not None:
                table = _reclassed(slide, table, changed_tissue)
            kept = _with_review(slide, table.filter(pa.array(~here)))
            ids = table["id"].to_numpy()[here].tolist()
            rows = [_measured(slide, identity) for identity in ids if slide.area_px(identity) > 0]
            yield pa.concat_tables([kept, *rows]).sort_by("id")


def _reclassed(slide: ReviewedSlide, table: pa.Table, changed: Array) -> pa.Table:
    """Replace the class of nuclei in changed tissue."""
    offset_y, offset_x, step = slide.published.affine
    y = (table["centroid_y_px0"].to_numpy() - offset_y) / step
    x = (table["centroid_x_px0"].to_numpy() - offset_x) / step
    cells = slide.cells(y, x)
    names = {item.value: item.name for item in slide.published.classes}
    values, published = slide.tissue()[cells], table["tissue_class"].to_pylist()
    classes = [
        names.get(int(value)) if there else old
        for value, there, old in zip(values, changed[cells], published, strict=True)
    ]
    column = table.schema.get_field_index("tissue_class")
    return table.set_column(column, "tissue_class", pa.array(classes, pa.string()))


def _measured(slide: ReviewedSlide, identity: int) -> pa.Table:
    """Measure one nucleus.

    It keeps its published type, whose map is not stored; one drawn by hand has none.
    """
    box = slide.box(identity).clipped(slide.shape)
    labels = slide.labels(box)
    inside = labels == identity
    rows: Table = {
        "id": np.array([identity], np.uint32),
        "area": np.array([inside.sum()]),
        "nucleus": np.array([_probability_sum(slide, box, inside)]),
    }
    affine, mpp = slide.published.affine, slide.published.mpp
    positivity = slide.published.positivity
    table = measure(labels, rows, box, affine, mpp, _image(slide, box), _tissue(slide), positivity=positivity)
    if slide.published.nucleus_types:
        table = _with_published_type(slide, table, identity)
    return _with_review(slide, table)


def _with_published_type(slide: ReviewedSlide, table: pa.Table, identity: int) -> pa.Table:
    row = slide.published.nuclei.row(identity)
    path, names = slide.published.folder / NUCLEI_TABLE, [field.name for field in TYPE_FIELDS]
    found = None if row is None else pq.read_table(path, columns=names).slice(row, 1)
    for field in TYPE_FIELDS:
        column = pa.nulls(1, field.type) if found is None else found[field.name].cast(field.type)
        table = table.append_column(field, column)
    return table


def _probability_sum(slide: ReviewedSlide, box: Region, inside: Array) -> float:
    probabilities = slide.published.result.arrays.probabilities
    if "nucleus" not in probabilities:
        return 0.0
    stored = read_region(probabilities["nucleus"], box, 0)[inside].astype(np.int64)
    return float(np.where(stored > PROBABILITY_MAX, 0, stored).sum())


def _image(slide: ReviewedSlide, box: Region) -> Array | None:
    image = slide.published.result.arrays.image
    return np.moveaxis(read_region(image[0], box, 255), 0, 2) if image else None


def _tissue(slide: ReviewedSlide) -> TissueMap | None:
    if not slide.has_tissue:
        return None
    offset_y, offset_x, step = slide.published.affine
    names = {item.value: item.name for item in slide.published.classes}
    return TissueMap(slide.tissue(), names, (offset_y, offset_x, step * slide.published.class_downsample))


def _with_review(slide: ReviewedSlide, table: pa.Table) -> pa.Table:
    """Add the columns of the review."""
    touched = slide.history.touched
    columns: dict[str, list[str | None]] = {field.name: [] for field in REVIEW_FIELDS}
    ids, classes = table["id"].to_pylist(), table[class_column(table.column_names)].to_pylist()
    for identity, own_class in zip(ids, classes, strict=True):
        decision = slide.decision(identity) if identity in touched else None
        is_new = slide.published.nuclei.row(identity) is None
        status = "new" if is_new else decision.status if decision else "published"
        row: tuple[str | None, ...] = (status, own_class, None, None)
        if decision:
            row = (status, decision.class_name or own_class, decision.user, decision.at)
        for name, value in zip(columns, row, strict=True):
            columns[name].append(value)
    for field in REVIEW_FIELDS:
        table = table.append_column(field, pa.array(columns[field.name], field.type))
    schema = measured_schema(slide)
    for field in schema:
        # Results of earlier versions lack columns.
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names).cast(schema)
