"""Regions of interest of a published slide, and the nuclei in them."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely

from wsipipe.geometry import Array
from wsipipe.store.names import REGIONS

Regions = Mapping[str, shapely.Geometry]
"""Polygons by name, (x, y) in level-0 px from the top left of the scanned area."""


def write_regions(folder: Path, regions: Regions) -> Path:
    """Write the regions of a slide as GeoJSON into its folder; return the file."""
    path = folder / REGIONS
    path.write_text(regions_text(regions), encoding="ascii", newline="\n")
    return path


def regions_text(regions: Regions) -> str:
    """Return the regions as GeoJSON of locked annotations."""
    features = [
        {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(polygon)),
            "properties": {"objectType": "annotation", "name": name, "isLocked": True},
        }
        for name, polygon in regions.items()
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def published_regions(folder: Path) -> Regions:
    """Return the regions of a published slide; none if it was given without."""
    path = folder / REGIONS
    if not path.is_file():
        return {}
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    return {
        each["properties"]["name"]: shapely.from_geojson(json.dumps(each["geometry"])) for each in features
    }


def within_regions(regions: Regions, positions_px0: Array) -> dict[str, Array]:
    """Return which positions lie in each region, (n,) bool by name; its outline does not count.

    Args:
        regions: The regions.
        positions_px0: Positions (n, 2) (y, x) in level-0 px.
    """
    found = {}
    for name, polygon in regions.items():
        shapely.prepare(polygon)
        found[name] = shapely.contains_xy(polygon, positions_px0[:, 1], positions_px0[:, 0])
    return found


def region_column(regions: Regions, centroids_px0: Array) -> pa.Array:
    """Return the smallest region around each nucleus; null outside all.

    Args:
        regions: The regions.
        centroids_px0: Centroids (n, 2) (y, x) in level-0 px.
    """
    names = sorted(regions, key=lambda name: (-regions[name].area, name))
    chosen = np.full(len(centroids_px0), -1)
    for name, inside in within_regions(regions, centroids_px0).items():
        chosen[inside] = np.maximum(chosen[inside], names.index(name))
    indices = pa.array(chosen, pa.int32(), mask=chosen < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string())).cast(pa.string())
