"""Write nuclei and tissue classes as GeoJSON for QuPath.

Coordinates are level-0 px from the top left corner. Only one table, or one class, is in memory at a time.
The same input gives the same bytes.

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
    """Name and colour of a tissue class."""

    name: str
    color: RGB


def write_nuclei_geojson(
    path: Path, tables: Iterable[pa.Table], slide_id: str, colors: Mapping[str, RGB] | None = None
) -> int:
    """Write one gzipped detection per nucleus.

    Args:
        path: Path of the ``.geojson.gz`` file; an existing file is replaced.
        tables: Tables with the columns of ``nuclei_table.SCHEMA``, read one at a time.
        slide_id: Name of the slide; makes UUIDs unique among slides and equal in all runs.
        colors: Colour of nuclei by tissue class; default :data:`NUCLEUS_COLOR`.

    Returns:
        Number of features written.
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
    """Write one locked annotation per connected region of a class.

    Outlines follow the edges of the pixels exactly.

    Args:
        path: Path of the ``.geojson`` file; an existing file is replaced.
        class_map: Classes (h, w) uint8; values without a style (254 unreadable, 255 not computed) are
            skipped.
        styles: Name and colour of each class.
        affine: Transform of class map px to level-0 px.
        mpp: Micrometres per px of the class map.
        slide_id: Name of the slide; see :func:`write_nuclei_geojson`.

    Returns:
        Number of features written.
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
    """Return the UUID of a nucleus in GeoJSON.

    QuPath (0.4 to 0.6) keeps it, even if the user renames the object.
    """
    return _uuid(f"{slide_id}/{nucleus}")


def _nuclei(table: pa.Table, slide_id: str, colors: Mapping[str, RGB]) -> Iterator[str]:
    polygons = shapely.from_wkb(table["polygon"].to_numpy())
    # Rounding to 0.01 level-0 px is far below the distance of any two vertices: polygons stay valid.
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
    """Return the polygons of the regions of a mask.

    Args:
        mask: (h, w) bool.

    Returns:
        (n,) polygons along pixel edges, (x, y) in px; pixels that touch at a corner only are apart.
    """
    edges = np.diff(mask.astype(np.int8), axis=1, prepend=0, append=0)
    (y, begin), (_, end) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    return shapely.get_parts(shapely.union_all(shapely.box(begin, y, end, y + 1)))


def _to_level0(region: Any, affine: Affine) -> Any:
    offset = np.array([affine[1], affine[0]])
    oriented = shapely.geometry.polygon.orient(region)
    return shapely.transform(oriented, lambda points: offset + affine[2] * points)
