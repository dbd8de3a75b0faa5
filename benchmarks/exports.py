"""Measure CPU time and peak memory of exports and of a comparison.

Run ``python benchmarks/exports.py [NUCLEI] [FORMAT ...]``. The table is that of a small slide, repeated.
Each format runs in a process of its own; the first line is the memory of the program before any work.
Formats whose packages are not installed are left out.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wsipipe.common.atomic_files import json_bytes, sha256_of
from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.results.compare.scores import scores_of
from wsipipe.results.compare.tally import tally
from wsipipe.results.export.formats import export_result, find_format
from wsipipe.results.export.source import ExportOptions, open_source
from wsipipe.review.sample import make_sample
from wsipipe.store import manifest
from wsipipe.store.geoparquet import write_parquet
from wsipipe.store.names import NUCLEI_TABLE

FORMATS = ("none", "csv", "geojson", "coco", "compare", "anndata", "spatialdata", "dicom-ann")
BATCH_ROWS = 4096
SIDE_PX = 24


def main() -> None:
    """Print one line per format."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        slide = large_result(Path(folder), count)
        for name in sys.argv[2:] or filter(installed, FORMATS):
            line = [sys.executable, __file__, "--child", name, str(slide), str(count)]
            print(subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip(), flush=True)


def installed(name: str) -> bool:
    """Return whether the packages of a format are there."""
    try:
        return name in ("none", "compare") or bool(find_format(name))
    except ConfigError:
        return False


def dicom_slide(slide: Path) -> Path:
    """Write the header of a DICOM slide of the size of a result; return its folder."""
    from dicom_header import slide_header
    from pydicom import Dataset

    source = open_source(slide).slide
    (offset_y, offset_x, step), (height, width) = source.affine, source.shape
    image = slide_header(round(height * step + 2 * offset_y), round(width * step + 2 * offset_x))
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.00025, 0.00025], 0.001
    shared.PixelMeasuresSequence = [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    folder = slide.parent / "dicom"
    folder.mkdir(exist_ok=True)
    image.save_as(folder / "slide.dcm", enforce_file_format=True)
    return folder


def large_result(folder: Path, count: int) -> Path:
    """Return a result whose table has many rows."""
    result = make_sample(folder)
    path = result.folder / NUCLEI_TABLE
    write_parquet(path, repeated(pq.read_table(path), count))
    content = dict(manifest.read(result.folder))
    files = dict(content["files"]) | {NUCLEI_TABLE: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}}
    content |= {"files": files}
    content |= {"digest": manifest._digest(content)}
    (result.store / "manifest.json").write_bytes(json_bytes(content))
    return result.folder


def repeated(table: pa.Table, count: int) -> Iterator[pa.Table]:
    """Yield tables of consecutive ids."""
    for start in range(0, count, BATCH_ROWS):
        rows = np.arange(start, min(start + BATCH_ROWS, count))
        part = table.take(rows % table.num_rows)
        yield part.set_column(0, table.schema.field("id"), pa.array(rows + 1, pa.uint32()))


def squares(count: int, shift: int) -> tuple[Region, object]:
    """Return the area of a grid of squares, and a reader of their ids."""
    across = int(np.ceil(np.sqrt(count)))

    def read(region: Region) -> Array:
        y, x = (
            np.arange(start, start + side)
            for start, side in ((region.y, region.height), (region.x, region.width))
        )
        ids = (y // SIDE_PX)[:, None] * across + (x - shift) // SIDE_PX + 1
        inside = (y % SIDE_PX < 14)[:, None] & ((x - shift) % SIDE_PX < 14)
        return np.where(inside & (ids > 0) & (ids <= count), ids, 0)

    return Region(0, 0, across * SIDE_PX, across * SIDE_PX), read


def child(name: str, slide: Path, count: int) -> None:
    """Run one format and print its figures."""
    start = time.process_time()
    if name == "compare":
        region, truth = squares(count, 0)
        scores = scores_of(tally(truth, squares(count, 3)[1], region).pairs)
        about = f"{region.height} px a side, F1 {scores['f1']:.3f}"
    elif name == "none":
        about = ""
    else:
        options = ExportOptions(dicom=dicom_slide(slide) if name == "dicom-ann" else None)
        about = f"{export_result(name, slide, options=options).size_bytes / 1e6:.0f} MB"
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.process_time() - start
    print(f"{name:<11} {count:,} nuclei  {seconds:6.1f} s CPU  peak {peak_mb:5.0f} MB  {about}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), int(json.loads(sys.argv[4])))
    else:
        main()
