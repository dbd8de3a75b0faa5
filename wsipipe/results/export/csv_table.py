"""Write the table of nuclei as CSV, without outlines."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from wsipipe.results.export.source import ExportSource


def write(source: ExportSource, path: Path) -> int:
    """Write one row per nucleus in the order of ids.

    Unknown values are empty. Numbers have all digits that their type holds.

    Args:
        source: Result to write.
        path: File to write.

    Returns:
        Number of nuclei.
    """
    fields = [field for field in source.nuclei_schema() if not pa.types.is_binary(field.type)]
    schema, count = pa.schema(fields), 0
    with path.open("wb") as file, pyarrow.csv.CSVWriter(file, schema) as writer:
        for table in source.nuclei(schema.names):
            writer.write_table(table.cast(schema))
            count += table.num_rows
    return count
