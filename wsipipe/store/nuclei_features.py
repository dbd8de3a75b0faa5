"""Make the GeoJSON features of nuclei."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from wsipipe.common.colours import NUCLEUS
from wsipipe.geometry import Array
from wsipipe.store.compiled_geojson import measurement_texts, polygon_texts
from wsipipe.store.nuclei_table import class_column

RGB = tuple[int, int, int]
NUCLEUS_COLOR: RGB = NUCLEUS
NAMESPACE = uuid.UUID("6d1a3c8e-54b7-5f0e-9a86-0b8f6d2f7c11")


def nuclei_features(table: pa.Table, slide_id: str, colors: Mapping[str, RGB]) -> list[str]:
    """Return one GeoJSON feature per nucleus.

    Args:
        table: Table with the columns of :func:`wsipipe.store.nuclei_table.nuclei_schema`. The class of a
            nucleus is its type where the table has types, else its tissue class.
        slide_id: Name of the slide, for the UUIDs.
        colors: Colour of nuclei by class; default :data:`NUCLEUS_COLOR`.
    """
    ids = table["id"].to_pylist()
    uuids = object_uuids(slide_id, ids)
    texts = zip(
        uuids, ids, _geometries(table), _classifications(table, colors), _measured(table), strict=True
    )
    return [
        f'{{"type":"Feature","id":"{name}","geometry":{geometry},"properties":{{"objectType":"detection",'
        f'"name":"{number}","nucleus_id":{number},"classification":{classification},"measurements":{{{measured}}}}}}}'
        for name, number, geometry, classification, measured in texts
    ]


def object_uuids(slide_id: str, ids: list[int]) -> list[str]:
    """Return the UUIDs (version 5, RFC 4122) of nuclei in GeoJSON."""
    begun = hashlib.sha1(NAMESPACE.bytes + f"{slide_id}/".encode(), usedforsecurity=False)
    found = []
    for number in ids:
        digest = begun.copy()
        digest.update(b"%d" % number)
        text = digest.hexdigest()
        variant = "89ab"[int(text[16], 16) & 3]
        found.append(f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}")
    return found


def _geometries(table: pa.Table) -> list[str]:
    polygons = table["polygon"].combine_chunks()
    texts = polygon_texts(polygons)
    if texts is not None:
        return [f'{{"type":"Polygon","coordinates":{text}}}' for text in texts]
    shapes = shapely.from_wkb(polygons.to_numpy(zero_copy_only=False))
    # Rounding to 0.01 level-0 px is far below the distance of any two vertices: polygons stay valid.
    rounded: list[str] = shapely.to_geojson(
        shapely.transform(shapes, lambda points: points.round(2))
    ).tolist()
    return rounded


def _classifications(table: pa.Table, colors: Mapping[str, RGB]) -> list[str]:
    classes = table[class_column(table.column_names)].combine_chunks().dictionary_encode()
    # QuPath reads "A: B" as class B within class A
    named = [
        _text({"name": f"Nucleus: {name}" if name else "Nucleus", "color": colors.get(name, NUCLEUS_COLOR)})
        for name in [*classes.dictionary.to_pylist(), None]
    ]
    return [named[i] for i in classes.indices.fill_null(len(named) - 1).to_pylist()]


def _measured(table: pa.Table) -> list[str]:
    names = [field.name for field in table.schema if _is_measured(field)]
    columns = [table[name].combine_chunks() for name in names]
    valid = np.stack([np.asarray(column.is_valid()) for column in columns], axis=1)
    values = np.stack([_filled(column) for column in columns], axis=1)
    texts = measurement_texts(values, valid, names)
    if texts is not None:
        return texts
    rows = zip(values.tolist(), valid.tolist(), strict=True)
    measured = [
        {name: round(value, 4) for name, value, known in zip(names, *row, strict=True) if known}
        for row in rows
    ]
    return [_text(row)[1:-1] for row in measured]


def _is_measured(field: pa.Field) -> bool:
    is_number = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
    return is_number and field.name != "id"


def _filled(column: pa.Array) -> Array:
    return np.asarray(column.cast(pa.float64()).fill_null(0))


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
