"""Write the tissue classes as a results folder of WSInfer.

Source: SBU-BMI/wsinfer, ``wsinfer/modellib/run_inference.py`` (columns of the CSV) and
``wsinfer/cli/infer.py`` (keys of the metadata).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import zarr

from wsipipe.common.about import __version__
from wsipipe.common.atomic_files import write_json
from wsipipe.errors import NoResultError
from wsipipe.geometry import Region
from wsipipe.results.export.source import ExportSource
from wsipipe.store.arrays import read_region
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX

TABLES = "model-outputs-csv"
METADATA = "run_metadata_wsipipe.json"
_CLASSES = "tissue_class"
_BAND_ROWS = 64


def write(source: ExportSource, path: Path) -> int:
    """Write a row per cell of the class map that was computed.

    Args:
        source: Result to write.
        path: Folder to write.

    Returns:
        Number of cells.

    Raises:
        NoResultError: The workflow did not compute tissue classes.
    """
    maps = source.result.arrays.probabilities.get(_CLASSES)
    if maps is None:
        raise NoResultError(
            f"{source.result.folder} holds no tissue classes: its workflow did not compute them. Run a "
            "workflow that does, such as nuclei_and_tissue."
        )
    names, count = class_names(source), 0
    (path / TABLES).mkdir(parents=True)
    fields = [(name, pa.int64()) for name in ("minx", "miny", "width", "height")]
    schema = pa.schema([*fields, *((f"prob_{name}", pa.float64()) for name in names)])
    with (
        (path / TABLES / f"{source.slide.slide_id}.csv").open("wb") as file,
        pyarrow.csv.CSVWriter(file, schema, write_options=_UNQUOTED) as writer,
    ):
        for table in _tables(source, maps, schema):
            writer.write_table(table)
            count += table.num_rows
    write_json(path / METADATA, _metadata(source, names))
    return count


def class_names(source: ExportSource) -> list[str]:
    """Return the names of the classes in the order of their probabilities."""
    about = zarr.open_group(source.result.store / "probabilities" / _CLASSES, mode="r").attrs["ome"]
    return [str(channel["label"]) for channel in about["omero"]["channels"]]


_UNQUOTED = pyarrow.csv.WriteOptions(quoting_style="needed")


def _tables(source: ExportSource, maps: zarr.Array, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the computed cells by bands of rows."""
    height, width = maps.shape[1:]
    offset_y, offset_x, step = source.slide.affine
    cell = step * round(source.result.scale_um(f"probabilities/{_CLASSES}")[0] / source.slide.mpp)
    # Rounded edges: cells of level-0 px neither overlap nor leave gaps.
    edges_y, edges_x = (
        np.rint(offset + cell * np.arange(side + 1)).astype(np.int64)
        for offset, side in ((offset_y, height), (offset_x, width))
    )
    for start in range(0, height, _BAND_ROWS):
        band = Region(start, 0, min(_BAND_ROWS, height - start), width)
        stored = read_region(maps, band, NOT_COMPUTED)
        y, x = np.nonzero((stored <= PROBABILITY_MAX).all(axis=0))
        place = [edges_x[x], edges_y[y + start], np.diff(edges_x)[x], np.diff(edges_y)[y + start]]
        shares = [one[y, x] / PROBABILITY_MAX for one in stored]
        yield pa.table([*place, *shares], schema=schema)


def _metadata(source: ExportSource, names: list[str]) -> dict[str, object]:
    attributes = source.result.attributes
    side_um = source.result.scale_um(f"probabilities/{_CLASSES}")[0]
    config = {
        "spec_version": "1.0",
        "architecture": "wsipipe",
        "num_classes": len(names),
        "class_names": names,
        "patch_size_pixels": round(side_um / source.slide.mpp),
        "spacing_um_px": source.slide.mpp,
        "transform": [],
    }
    weights = attributes.get("weights", {}).get("classify")
    return {
        "model": {"config": config, "huggingface_location": None, "path": None, "weights": weights},
        "runtime": {"program": "wsipipe", "version": __version__, "plan": attributes["plan"]},
        "slide": attributes["slide_id"],
        "notice": attributes["notice"],
    }
