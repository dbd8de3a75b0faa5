"""Write image, labels, outlines and measures as a SpatialData store, by its own library.

The library's writer takes all outlines as objects, about 1 kB each. It is given the first nucleus alone; its
file of outlines, a GeoParquet file, is then written again with all nuclei, a few thousand at a time.

Source: spatialdata 0.8, "Design document", sections images, labels, shapes and table.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import zarr

from wsipipe.errors import NoResultError
from wsipipe.results.export.anndata_table import measures_of
from wsipipe.results.export.source import ExportSource
from wsipipe.store.lazy_arrays import lazy

if TYPE_CHECKING:
    import geopandas

NUCLEI, MEASURES, IMAGE = "nuclei", "measures", "image"
OUTLINES = f"shapes/{NUCLEI}/shapes.parquet"
CHUNK_PX = 1024
_COLUMNS = {"id": "id", "geometry": "polygon"}
"""Columns of the table of nuclei by those of the outlines."""


def write(source: ExportSource, path: Path) -> int:
    """Write all elements in level-0 px, the coordinate system ``global``.

    Outlines and measures are those of the selected nuclei, labels those of all.

    Args:
        source: Result to write.
        path: Folder to write.

    Returns:
        Number of nuclei.
    """
    import spatialdata
    from spatialdata.models import ShapesModel, TableModel

    table = measures_of(source)
    if not table.n_obs:
        raise NoResultError(
            f"{source.result.folder} has no nuclei to write, and SpatialData has no empty outlines. Widen "
            "--class or --min-probability."
        )
    table.obs["region"] = pd.Categorical([NUCLEI] * table.n_obs)
    elements = {
        "images": _images(source),
        "labels": _labels(source),
        "shapes": {NUCLEI: ShapesModel.parse(_first(source))},
        "tables": {
            MEASURES: TableModel.parse(table, region=NUCLEI, region_key="region", instance_key="nucleus_id")
        },
    }
    # Another path of the object would be reported on standard output.
    spatialdata.SpatialData(**elements).write(path, update_sdata_path=False)
    _write_outlines(source, path / OUTLINES)
    return int(table.n_obs)


def _images(source: ExportSource) -> dict[str, Any]:
    """Return the stored image; nothing if the run stored none."""
    levels = source.result.arrays.image
    return {IMAGE: _raster(levels, ("c", "y", "x"), source.slide.affine)} if levels else {}


def _labels(source: ExportSource) -> dict[str, Any]:
    """Return every label image by its name.

    Names are unique among all elements, so they end with ``_labels``.
    """
    offset_y, offset_x, step = source.slide.affine
    found = {}
    for name, levels in source.result.arrays.labels.items():
        times = round(source.result.scale_um(f"labels/{name}")[0] / source.slide.mpp)
        found[f"{name}_labels"] = _raster(levels, ("y", "x"), (offset_y, offset_x, step * times))
    return found


def _raster(levels: list[zarr.Array], dims: tuple[str, ...], affine: tuple[float, float, float]) -> Any:
    """Return the levels of an array, which are read chunk by chunk while they are written.

    Args:
        levels: Arrays, finest first.
        dims: Names of their axes.
        affine: (offset y, offset x, step) with level-0 px = offset + step * px.
    """
    from spatialdata.transformations import Affine, set_transformation
    from xarray import DataArray, Dataset, DataTree

    offset_y, offset_x, step = affine
    coords = {"c": ["r", "g", "b"]} if "c" in dims else {}
    scales = {}
    for number, level in enumerate(levels):
        pixels = lazy(level).rechunk((*level.shape[:-2], CHUNK_PX, CHUNK_PX))
        scales[f"scale{number}"] = Dataset({"image": DataArray(pixels, dims=dims, coords=coords)})
    found = DataTree.from_dict(scales)
    to_level0 = Affine([[step, 0, offset_x], [0, step, offset_y], [0, 0, 1]], ("x", "y"), ("x", "y"))
    set_transformation(found, {"global": to_level0}, set_all=True)
    return found


def _first(source: ExportSource) -> "geopandas.GeoDataFrame":
    """Return the outline of the first nucleus."""
    import geopandas

    table = next(source.nuclei([*_COLUMNS.values()])).slice(0, 1)
    outlines = shapely.from_wkb(table["polygon"].to_numpy())
    return geopandas.GeoDataFrame(geometry=outlines, index=pd.Index(table["id"].to_numpy(), name="id"))


def _write_outlines(source: ExportSource, path: Path) -> None:
    """Write all outlines in place of the first one.

    Columns and metadata are those of the library.
    """
    schema = pq.read_schema(path)
    geo = json.loads(schema.metadata[b"geo"])
    # It is that of the first nucleus, and it is optional.
    geo["columns"]["geometry"].pop("bbox", None)
    schema = schema.with_metadata(schema.metadata | {b"geo": json.dumps(geo).encode()})
    with pq.ParquetWriter(path, schema) as writer:
        for table in source.nuclei([*_COLUMNS.values()]):
            columns = [table[_COLUMNS[field.name]].cast(field.type) for field in schema]
            writer.write_table(pa.table(columns, schema=schema))
