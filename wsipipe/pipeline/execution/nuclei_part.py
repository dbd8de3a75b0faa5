"""Write the nuclei of one shard: table rows and GeoJSON features."""

from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from wsipipe.pipeline.planning.plan import Plan
from wsipipe.store.geojson import join_members, nuclei_member
from wsipipe.store.geoparquet import write_parquet
from wsipipe.store.nuclei_features import RGB
from wsipipe.store.nuclei_table import nuclei_schema

_ROWS, _FEATURES = ".parquet", ".geojson.gz"


def write_nuclei_part(plan: Plan, part: Path, rows: pa.Table) -> list[Path]:
    """Write rows, and features if there are rows.

    Features have the colours of the labels' legends.

    Args:
        plan: Plan of the slide.
        part: Path of the files without suffix.
        rows: Rows of the nuclei table, by id.

    Returns:
        The files, not yet durable.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    written = [part.with_suffix(_ROWS)]
    write_parquet(written[0], [rows], rows.schema)
    if rows.num_rows:
        colours = {item.name: item.rgb for _, write in plan.published("label") for item in write.legend}
        colours |= nucleus_types(plan)
        is_first = rows["id"][0].as_py() == 1
        written.append(part.with_suffix(_FEATURES))
        written[1].write_bytes(nuclei_member(rows, plan.slide.slide_id, colours, is_first))
    return written


def nucleus_types(plan: Plan) -> dict[str, RGB]:
    """Return the colours of the types that nuclei get, by name; empty for none."""
    listed = (write.about.get("types", ()) for _, write in plan.published("label"))
    return {item["name"]: tuple(item["color"]) for items in listed for item in cast(list[Any], items)}


def table_schema(plan: Plan) -> pa.Schema:
    """Return the columns of the nuclei table of a slide."""
    return nuclei_schema(bool(nucleus_types(plan)), plan.workflow.measure.positivity)


def nuclei_parts(folder: Path) -> list[Path]:
    """Return the table parts of all shards with nuclei, by their first id."""
    firsts = {}
    for path in sorted(folder.glob(f"*{_ROWS}")):
        metadata = pq.read_metadata(path)
        if metadata.num_rows:
            firsts[path] = metadata.row_group(0).column(0).statistics.min
    return sorted(firsts, key=firsts.__getitem__)


def join_features(path: Path, parts: list[Path]) -> None:
    """Write the GeoJSON of a slide from the features of its shards.

    Args:
        path: Path of the file.
        parts: Result of :func:`nuclei_parts`; the first holds id 1.
    """
    join_members(path, (part.with_suffix(_FEATURES) for part in parts))
