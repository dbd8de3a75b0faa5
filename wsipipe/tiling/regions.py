"""Read the regions of interest that a user drew, as GeoJSON of QuPath or others."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import shape

from wsipipe.errors import SlideError

ALL_BUT = "all but excluded"
"""Name of the only region of a file that excludes areas and includes none."""
_EXCLUDED = ("ignore", "exclu")
"""Begin of the name or class of an area to leave out; QuPath's class for it is ``Ignore*``."""
_KINDS = ("Polygon", "MultiPolygon")


def read_regions(path: Path, extent: tuple[float, float]) -> dict[str, shapely.Geometry]:
    """Read regions by name, excluded areas taken out.

    A region's name is that of the annotation, else that of its class; annotations of one name are one region.
    Those whose name or class begins with ``ignore`` or ``exclu`` are excluded. Detections, cells and tiles
    of QuPath are passed over.

    Args:
        path: GeoJSON (``.gz`` too) of polygons (x, y) in level-0 px from the top left of the scanned area.
        extent: (height, width) of the scanned area in level-0 px.

    Raises:
        SlideError: The file is not readable, has no polygons, or one that crosses itself, is no polygon or
            lies outside the slide.
    """
    slide = shapely.box(0, 0, extent[1], extent[0])
    included: dict[str, list[shapely.Geometry]] = {}
    excluded: list[shapely.Geometry] = []
    for number, feature in enumerate(_features(path), start=1):
        name, is_excluded = _name(feature, number)
        polygon = _polygon(path, feature, f"{name} (feature {number})", slide)
        (excluded if is_excluded else included.setdefault(name, [])).append(polygon)
    if not included and not excluded:
        raise SlideError(f"Regions {path}: the file has no annotations. Draw polygons, or give no regions.")
    without = shapely.union_all(excluded)
    named = included or {ALL_BUT: [slide]}
    return {name: shapely.difference(shapely.union_all(parts), without) for name, parts in named.items()}


def _features(path: Path) -> Iterator[dict[str, Any]]:
    try:
        data = path.read_bytes()
        found = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        features = found["features"] if isinstance(found, dict) and "features" in found else found
        listed = [features] if isinstance(features, dict) else list(features)
        kinds = [(each.get("properties") or {}).get("objectType", "annotation") for each in listed]
    except (OSError, ValueError, TypeError, AttributeError, EOFError) as error:
        cause = str(error) or type(error).__name__
        raise SlideError(
            f"Regions {path} are not readable as GeoJSON ({cause}). Export the annotations as GeoJSON again."
        ) from error
    for feature, kind in zip(listed, kinds, strict=True):
        if kind == "annotation":
            yield feature


def _name(feature: dict[str, Any], number: int) -> tuple[str, bool]:
    """Return the name of a feature, and whether it is excluded."""
    properties = feature.get("properties") or {}
    classification = properties.get("classification") or {}
    in_class = classification.get("name") if isinstance(classification, dict) else classification
    names = [str(name).strip() for name in (properties.get("name"), in_class) if name]
    is_excluded = any(name.lower().startswith(_EXCLUDED) for name in names)
    return next(iter(names), f"region {number}"), is_excluded


def _polygon(path: Path, feature: dict[str, Any], name: str, slide: shapely.Geometry) -> shapely.Geometry:
    geometry = feature.get("geometry") or {}
    if geometry.get("type") not in _KINDS:
        raise SlideError(
            f"Regions {path}: {name} is a {geometry.get('type')}, not a polygon. Delete it, or draw an area."
        )
    try:
        polygon = shape(geometry)
    except (ValueError, TypeError, IndexError, shapely.errors.ShapelyError) as error:
        raise SlideError(f"Regions {path}: {name} is not readable ({error}). Draw it again.") from error
    if not polygon.is_valid or polygon.is_empty:
        why = shapely.is_valid_reason(polygon) if polygon.area or not polygon.is_empty else "it is empty"
        raise SlideError(f"Regions {path}: {name} is no valid polygon ({why}). Draw it again.")
    if not polygon.intersects(slide):
        raise SlideError(
            f"Regions {path}: {name} lies outside the slide, whose scanned area is {slide.bounds[2]:.0f} x "
            f"{slide.bounds[3]:.0f} px (width x height). Give the regions of this slide, in level-0 px."
        )
    return polygon
