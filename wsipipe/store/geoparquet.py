"""Write nuclei tables to one GeoParquet file, ordered by id.

Only a few thousand rows are in memory at a time.

Source: GeoParquet 1.1.0, sections "File metadata" and "Column metadata".
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wsipipe.store.nuclei_table import ADDED, SCHEMA

_GEO = {
    "version": "1.1.0",
    "primary_column": "polygon",
    # Slides are not georeferenced, hence no crs.
    "columns": {"polygon": {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None}},
}
_BATCH_ROWS = 1024
_REPEATED = ["tissue_class", "type", "region"]
"""Columns with few values, which a dictionary makes smaller."""


def write_parquet(path: Path, tables: Iterable[pa.Table], columns: pa.Schema = SCHEMA) -> int:
    """Write tables as GeoParquet, one row group per table.

    Args:
        path: Path of the file; an existing file is replaced.
        tables: Tables in the order of the file.
        columns: Columns of the tables, see :func:`wsipipe.store.nuclei_table.nuclei_schema`.

    Returns:
        Number of rows written.
    """
    rows = 0
    schema = columns.with_metadata({"geo": json.dumps(_GEO)})
    repeated = [name for name in _REPEATED if name in columns.names]
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeated) as writer:
        for table in tables:
            writer.write_table(table.replace_schema_metadata(schema.metadata))
            rows += table.num_rows
    return rows


def with_columns(tables: Iterable[pa.Table], columns: Mapping[str, pa.Array]) -> Iterator[pa.Table]:
    """Yield tables with further columns before the polygon.

    Args:
        tables: Tables with the columns of ``nuclei_table.SCHEMA``.
        columns: Values for the rows of all tables, in this order, of each column of ``nuclei_table.ADDED``.
    """
    start = 0
    for table in tables:
        place = table.schema.get_field_index("polygon")
        for offset, field in enumerate(ADDED):
            values = columns[field.name].slice(start, table.num_rows)
            table = table.add_column(place + offset, field, values.cast(field.type))
        start += table.num_rows
        yield table


def in_id_order(parts: Sequence[Path], rows: int = 4096) -> Iterator[pa.Table]:
    """Merge files of :func:`write_parquet` into tables ordered by id.

    Args:
        parts: Files, each ordered by id, that together hold the ids 1..n once; ids of shards in one row
            interleave.
        rows: Rows per table.

    Yields:
        Tables; only the files with the next ids are open.
    """
    parts = [path for path in parts if pq.read_metadata(path).num_rows]
    pending = sorted((_Part(path) for path in parts), key=lambda part: part.first, reverse=True)
    total = sum(part.rows for part in pending)
    due: list[_Part] = []
    for start in range(1, total + 1, rows):
        while pending and pending[-1].first < start + rows:
            due.append(pending.pop())
        table = pa.concat_tables([piece for part in due for piece in part.below(start + rows)])
        due = [part for part in due if part.rows]
        yield table.sort_by("id")


class _Part:
    """Forward reader of a file ordered by id."""

    def __init__(self, path: Path) -> None:
        metadata = pq.read_metadata(path)
        self.first = metadata.row_group(0).column(0).statistics.min
        self.rows = metadata.num_rows
        self._batches = _batches(path)
        self._held: list[pa.Table] = []

    def below(self, stop: int) -> list[pa.Table]:
        """Return the next rows with ids below ``stop``."""
        while (not self._held or _last_id(self._held[-1]) < stop) and (table := next(self._batches, None)):
            self._held.append(table)
        counts = [int(np.searchsorted(table["id"].to_numpy(), stop)) for table in self._held]
        given = [table.slice(0, count) for table, count in zip(self._held, counts, strict=True)]
        self._held = [table.slice(count) for table, count in zip(self._held, counts, strict=True)]
        self._held = [table for table in self._held if table.num_rows]
        self.rows -= sum(table.num_rows for table in given)
        return given


def _batches(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS):
            yield pa.Table.from_batches([batch])


def _last_id(table: pa.Table) -> int:
    return table["id"][-1].as_py()
