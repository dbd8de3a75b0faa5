"""Read valid polygons from GeoJSON geometries."""

import json

import numpy as np
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from wsipipe.geometry import Array

FARTHEST_PX = 2.0**31
"""Coordinates beyond this are invalid, and would overflow."""
_POLYGONS = ("Polygon", "MultiPolygon")


def read_outlines(geometries: list[object]) -> tuple[Array, list[str]]:
    """Return the polygons of geometries, and problems.

    Polygons of a collection are united; rings that are not closed or cross themselves are repaired.

    Args:
        geometries: Decoded JSON of any kind.

    Returns:
        (n,) object array of Polygon, MultiPolygon or None, in (x, y); and (n,) problems, empty where there
        is none.
    """
    # One call for all is ten times as fast as one call each; geometries that it cannot read are repaired.
    texts = [json.dumps(one) if isinstance(one, dict) else None for one in geometries]
    read = shapely.from_geojson(np.array(texts, object), on_invalid="ignore")
    is_good = (np.abs(shapely.bounds(read)) < FARTHEST_PX).all(axis=-1)
    is_good &= np.isin(shapely.get_type_id(read), (3, 6)) & shapely.is_valid(read)
    is_good[is_good] = shapely.area(read[is_good]) > 0
    problems = [""] * len(geometries)
    for index in np.flatnonzero(~is_good).tolist():
        read[index], problems[index] = _repaired(geometries[index], read[index])
    return shapely.force_2d(read), problems


def crossing_outlines(features: list[object]) -> list[str]:
    """Return descriptions of invalid outlines, as ``feature 3 (Self-intersection[5 5])``."""
    geometries = [feature.get("geometry") if isinstance(feature, dict) else None for feature in features]
    texts = [json.dumps(one) if isinstance(one, dict) else None for one in geometries]
    read = shapely.from_geojson(np.array(texts, object), on_invalid="ignore")
    invalid = np.flatnonzero(~shapely.is_missing(read) & ~shapely.is_valid(read))
    return [f"feature {index} ({shapely.is_valid_reason(read[index])})" for index in invalid.tolist()]


def _repaired(geometry: object, read: BaseGeometry | None) -> tuple[BaseGeometry | None, str]:
    """Return the polygon of an invalid geometry, or None and the problem."""
    if geometry is None:
        return None, "without geometry"
    found = _built(geometry) if read is None else read
    if found is None:
        return None, "with a geometry that cannot be read"
    if not (np.abs(shapely.get_coordinates(found)) < FARTHEST_PX).all():
        return None, "with coordinates that no slide has"
    polygons = _united(shapely.make_valid(found))
    if polygons.area > 0:
        return polygons, ""
    return None, f"{found.geom_type} without area"


def _built(geometry: object) -> BaseGeometry | None:
    try:
        with np.errstate(invalid="ignore"):
            return shape(geometry)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, shapely.errors.ShapelyError):
        return None


def _united(found: BaseGeometry) -> BaseGeometry:
    """Return the parts of a geometry that have an area, united."""
    parts = shapely.get_parts(found) if found.geom_type not in _POLYGONS else np.array([found])
    nested = [part if part.geom_type in _POLYGONS else _united(part) for part in parts if _may_hold(part)]
    return shapely.union_all(nested) if len(nested) != 1 else nested[0]


def _may_hold(part: BaseGeometry) -> bool:
    return part.geom_type in (*_POLYGONS, "GeometryCollection")
