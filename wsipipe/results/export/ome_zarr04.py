"""Write the store as OME-Zarr 0.4, on Zarr 2, for programs that do not read 0.5.

Source: OME-NGFF 0.4, sections multiscales, omero, labels and image-label.
"""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr
from numcodecs import Blosc

from wsipipe.geometry import Region
from wsipipe.results.export.source import ExportSource
from wsipipe.store.arrays import open_array, read_region

VERSION = "0.4"
MARKER = ".zattrs"
CHUNK_PX = 1024
"""Side of a chunk: Zarr 2 has no shards, so that small chunks would be many files."""


def write(source: ExportSource, path: Path) -> int:
    """Write image, labels and probabilities with the same px in every level.

    Args:
        source: Result to write.
        path: Folder to write.

    Returns:
        Number of arrays.
    """
    store = source.result.store
    groups = sorted(each.parent for each in store.rglob("zarr.json") if _kind(each) == "group")
    for folder in groups:
        found = dict(zarr.open_group(folder, mode="r").attrs)
        attributes = attributes04(cast(dict[str, Any], found.get("ome", {})), folder.name)
        kept = {"wsipipe": found["wsipipe"]} if "wsipipe" in found else {}
        zarr.create_group(path / folder.relative_to(store), zarr_format=2, attributes=attributes | kept)
    arrays = sorted(each.parent for each in store.rglob("zarr.json") if _kind(each) == "array")
    for folder in arrays:
        _copy(folder, path / folder.relative_to(store))
    return len(arrays)


def attributes04(ome: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the attributes of a group of OME-Zarr 0.4.

    Args:
        ome: Attributes of the group in OME-Zarr 0.5, those under ``ome``.
        name: Name of the group.
    """
    found = {key: value for key, value in ome.items() if key != "version"}
    if "multiscales" in found:
        found["multiscales"] = [{"version": VERSION, "name": name} | one for one in found["multiscales"]]
    if "image-label" in found:
        found["image-label"] = found["image-label"] | {"version": VERSION}
    if "omero" in found:
        found["omero"] = found["omero"] | {"version": VERSION}
    return found


def _kind(path: Path) -> str:
    return str(json.loads(path.read_bytes())["node_type"])


def _copy(folder: Path, to: Path) -> None:
    """Copy an array chunk by chunk."""
    array = open_array(folder)
    leading = array.shape[:-2]
    sides = [min(CHUNK_PX, side) for side in array.shape[-2:]]
    copy = zarr.create_array(
        to,
        shape=array.shape,
        dtype=array.dtype,
        chunks=(*(1 for _ in leading), *sides),
        fill_value=array.fill_value,
        compressors=Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
        chunk_key_encoding={"name": "v2", "separator": "/"},
        zarr_format=2,
    )
    for region in Region(0, 0, *array.shape[-2:]).blocks(CHUNK_PX):
        copy[(..., *region.slices)] = np.ascontiguousarray(read_region(array, region, 0))
