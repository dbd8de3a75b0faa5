"""Write nuclei as GeoJSON for QuPath, all or a selection."""

import gzip
import shutil
from pathlib import Path

from wsipipe.results.export.source import ExportSource
from wsipipe.store.geojson import write_nuclei_geojson

_COPY_BYTES = 1 << 20


def write(source: ExportSource, path: Path) -> int:
    """Write one detection per nucleus in level-0 px.

    Args:
        source: Result to write.
        path: File to write.

    Returns:
        Number of nuclei.
    """
    colours = {item.name: item.rgb for item in source.slide.classes}
    count = write_nuclei_geojson(path, source.nuclei(), source.slide.slide_id, colours)
    if not source.options.compressed:
        plain = path.with_suffix(".plain.partial")
        try:
            with gzip.open(path) as packed, plain.open("wb") as file:
                shutil.copyfileobj(packed, file, _COPY_BYTES)
            plain.replace(path)
        finally:
            plain.unlink(missing_ok=True)
    return count
