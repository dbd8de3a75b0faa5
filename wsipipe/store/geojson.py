"""Write nuclei and tissue classes as GeoJSON for QuPath.

Coordinates are level-0 px from the top left corner. Only one table, or one class, is in memory at a time.
The same input gives the same bytes.

Source: QuPath 0.5 documentation, "Exporting annotations" (objectType, classification, measurements,
isLocked); RFC 7946 for the geometry.
"""

import json
import shutil
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import imagecodecs
import numpy as np
import pyarrow as pa
import shapely

from wsipipe.geometry import Array
from wsipipe.store.nuclei_features import NAMESPACE, RGB, nuclei_features, object_uuids
from wsipipe.store.nuclei_table import Affine

_BEGIN, _END = '{"type":"FeatureCollection","features":[', "\n]}\n"
_GZIP_LEVEL = 2
"""Twice as fast as zlib's level 4, at the same size."""


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
        colors: Colour of nuclei by tissue class; default ``nuclei_features.NUCLEUS_COLOR``.

    Returns:
        Number of features written.
    """
    count = 0
    with path.open("wb") as file:
        file.write(_member(_BEGIN))
        for table in tables:
            if table.num_rows:
                file.write(nuclei_member(table, slide_id, colors or {}, is_first=not count))
            count += table.num_rows
        file.write(_member(_END))
    return count


def nuclei_member(table: pa.Table, slide_id: str, colors: Mapping[str, RGB], is_first: bool) -> bytes:
    """Return the features of nuclei as one member of a gzip file.

    Args:
        table: Table with the columns of ``nuclei_table.SCHEMA``, not empty.
        slide_id: Name of the slide.
        colors: Colour of nuclei by tissue class.
        is_first: Whether no feature stands before them in the file.
    """
    features = ",\n".join(nuclei_features(table, slide_id, colors))
    return _member(("\n" if is_first else ",\n") + features)


def join_members(path: Path, members: Iterable[Path]) -> None:
    """Write a GeoJSON file of the members of :func:`nuclei_member`, in their order.

    A gzip file may have several members; their texts follow each other (RFC 1952, 2.2).
    """
    with path.open("wb") as file:
        file.write(_member(_BEGIN))
        for member in members:
            with member.open("rb") as part:
                shutil.copyfileobj(part, file, 1 << 20)
        file.write(_member(_END))


def _member(text: str) -> bytes:
    # It has no name and no time: the same text gives the same bytes.
    return bytes(imagecodecs.gzip_encode(text.encode(), level=_GZIP_LEVEL))


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
    return object_uuids(slide_id, [nucleus])[0]


def _feature(key: str, geometry: str, properties: dict[str, Any]) -> str:
    inside = json.dumps(properties, separators=(",", ":"))
    name = uuid.uuid5(NAMESPACE, key)
    return f'{{"type":"Feature","id":"{name}","geometry":{geometry},"properties":{inside}}}'


def _write_collection(file: BinaryIO, features: Iterable[str]) -> int:
    count = 0
    file.write(_BEGIN.encode())
    for count, feature in enumerate(features, start=1):
        file.write((",\n" if count > 1 else "\n").encode() + feature.encode())
    file.write(_END.encode())
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
