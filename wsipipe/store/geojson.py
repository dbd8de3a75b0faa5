"""Nuclei tables and class maps in; GeoJSON that QuPath opens, level-0 px, origin top left, out.

Streamed: one table, or one class, is in memory at a time. The same input gives the same bytes.

Source: QuPath 0.5 documentation, "Exporting annotations" (objectType, classification, measurements,
isLocked); RFC 7946 for the geometry.
"""

import gzip
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import shapely

from wsipipe.geometry import Array
from wsipipe.store.nuclei_table import SCHEMA, Affine

RGB = tuple[int, int, int]
NUCLEUS_COLOR: RGB = (220, 40, 90)
_NAMESPACE = uuid.UUID("6d1a3c8e-54b7-5f0e-9a86-0b8f6d2f7c11")
_MEASUREMENTS = [field.name for field in SCHEMA if field.name not in ("id", "tissue_class", "polygon")]


class ClassStyle(NamedTuple):
    """How a tissue class is called and drawn."""

    name: str
    color: RGB


def write_nuclei_geojson(
    path: Path, tables: Iterable[pa.Table], slide_id: str, colors: Mapping[str, RGB] | None = None
) -> int:
    """Write one detection a nucleus, gzipped.

    Args:
        path: The file, ``.geojson.gz``; replaced if there.
        tables: With the columns of ``table.SCHEMA``; taken one at a time.
        slide_id: Makes the objects' UUIDs unique among slides, and the same in every run.
        colors: Colour by tissue class; nuclei of others get :data:`NUCLEUS_COLOR`.

    Returns:
        Features written.
    """
    features = (line for table in tables for line in _nuclei(table, slide_id, colors or {}))
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=raw, mtime=0) as file,
    ):
        return _write_collection(file, features)


def write_tissue_geojson(
    path: Path, class_map: Array, styles: Mapping[int, ClassStyle], affine: Affine, mpp: float, slide_id: str
) -> int:
    """Write one locked annotation a connected region of a class, with the exact edges of its pixels.

    Args:
        path: The file, ``.geojson``; replaced if there.
        class_map: (h, w) uint8; values without a style (254 unreadable, 255 not computed) are passed over.
        styles: Name and colour by class.
        affine: From class map px to level-0 px.
        mpp: Um per class map px.
        slide_id: As for :func:`write_nuclei_geojson`.

    Returns:
        Features written.
    """
    features = (
        _feature(
            f"{slide_id}/{style.name}/{number}",
            shapely.to_geojson(_to_level0(region, affine)),
            {
                "objectType": "annotation",
                "classification": style._asdict(),
                "isLocked": True,
                "measurements": {"area_um2": region.area * mpp**2},
            },
        )
        for value, style in sorted(styles.items())
        for number, region in enumerate(_regions(class_map == value), start=1)
    )
    with path.open("wb") as file:
        return _write_collection(file, features)


def object_uuid(slide_id: str, nucleus: int) -> str:
    """Id of a nucleus in GeoJSON. QuPath keeps it (0.4 to 0.6), even where a person changed the name."""
    return _uuid(f"{slide_id}/{nucleus}")


def _nuclei(table: pa.Table, slide_id: str, colors: Mapping[str, RGB]) -> Iterator[str]:
    polygons = shapely.from_wkb(table["polygon"].to_numpy())
    # a hundredth of a level-0 px is far below the distance of any two vertices: polygons stay valid
    geometries = shapely.to_geojson(shapely.transform(polygons, lambda points: points.round(2)))
    numbers = table.drop_columns("polygon").to_pylist()
    for row, geometry in zip(numbers, geometries, strict=True):
        yield _feature(f"{slide_id}/{row['id']}", geometry, _nucleus_properties(row, colors))


def _nucleus_properties(row: dict[str, Any], colors: Mapping[str, RGB]) -> dict[str, Any]:
    tissue = row["tissue_class"]
    return {
        "objectType": "detection",
        "name": str(row["id"]),
        "nucleus_id": row["id"],
        # QuPath reads "A: B" as class B within class A
        "classification": {
            "name": f"Nucleus: {tissue}" if tissue else "Nucleus",
            "color": colors.get(tissue, NUCLEUS_COLOR),
        },
        "measurements": {name: round(row[name], 4) for name in _MEASUREMENTS if row[name] is not None},
    }


def _feature(key: str, geometry: str, properties: dict[str, Any]) -> str:
    inside = json.dumps(properties, separators=(",", ":"))
    return f'{{"type":"Feature","id":"{_uuid(key)}","geometry":{geometry},"properties":{inside}}}'


def _uuid(key: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, key))


def _write_collection(file: BinaryIO | gzip.GzipFile, features: Iterable[str]) -> int:
    count = 0
    file.write(b'{"type":"FeatureCollection","features":[')
    for count, feature in enumerate(features, start=1):
        file.write((",\n" if count > 1 else "\n").encode() + feature.encode())
    file.write(b"\n]}\n")
    return count


def _regions(mask: Array) -> Array:
    """Mask (h, w) bool -> the polygons (n,) of its regions in px, (x, y), by pixel edges, corners apart."""
    edges = np.diff(mask.astype(np.int8), axis=1, prepend=0, append=0)
    (y, begin), (_, end) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    return shapely.get_parts(shapely.union_all(shapely.box(begin, y, end, y + 1)))


def _to_level0(region: Any, affine: Affine) -> Any:
    offset = np.array([affine[1], affine[0]])
    oriented = shapely.geometry.polygon.orient(region)
    return shapely.transform(oriented, lambda points: offset + affine[2] * points)
