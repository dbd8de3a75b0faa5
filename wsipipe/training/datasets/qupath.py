"""Slides with annotations that QuPath exported (GeoJSON of the slide's stem, level-0 px) as training data.

Nuclei: rectangles of class ``Region*`` are fields in which every nucleus is outlined; all other outlines are
nuclei. Tissue: outlines with a class are cut into tiles of 128 um; classes that end with ``*`` are left out.
"""

import gzip
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import shape

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.tiling.slide import Slide, open_slide
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.datasets.polygons import filled
from wsipipe.training.samples import Field, Tile

REGION = "Region*"
TILE_UM = 128.0
TILE_MPP = 0.5
INSIDE = 0.9
SUFFIXES = (".geojson", ".geojson.gz")


def annotated(folder: Path) -> list[tuple[Path, Path]]:
    """Slides and the GeoJSON files of their stems."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    notes = {path.name.split(".geojson")[0]: path for path in files if path.name.endswith(SUFFIXES)}
    slides = [
        path for path in files if path not in notes.values() and path.suffix not in (".csv", ".json", ".txt")
    ]
    pairs = [(path, notes.get(path.stem) or notes.get(path.name)) for path in slides]
    return [(path, found) for path, found in pairs if found is not None]


def fits(folder: Path) -> bool:
    """At least one slide has a GeoJSON file of its name."""
    return bool(annotated(folder))


def features(path: Path) -> list[tuple[str, shapely.Geometry]]:
    """Class (empty if none) and outline, (x, y) in level-0 px, of each feature of a GeoJSON file.

    Raises:
        ConfigError: It holds no outline.
    """
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    content = json.loads(raw)
    listed = content if isinstance(content, list) else content.get("features", [])
    found = [(_class_of(one), shape(one["geometry"])) for one in listed if one.get("geometry")]
    found = [(name, outline) for name, outline in found if outline.area > 0]
    if not found:
        raise ConfigError("it holds no outline; export the annotations of QuPath as GeoJSON")
    return found


def _class_of(feature: dict[str, Any]) -> str:
    about = feature.get("properties") or {}
    return str((about.get("classification") or {}).get("name") or about.get("name") or "")


def read_fields(folder: Path, problems: Problems) -> list[Field]:
    """One field for each rectangle of class ``Region*``, at the slide's own mpp."""
    fields = []
    for path, notes in annotated(folder):
        with problems.at(notes):
            found = features(notes)
            boxes = [outline.bounds for name, outline in found if name == REGION]
            if not boxes:
                raise ConfigError(
                    f"no rectangle has the class {REGION}; draw one around each part in which all nuclei are "
                    "outlined"
                )
            nuclei = [outline for name, outline in found if not name.endswith("*")]
            with problems.at(path), open_slide(path) as slide:
                fields += [_field(slide, index, box, nuclei) for index, box in enumerate(boxes)]
    return fields


def _field(
    slide: Slide, index: int, box: tuple[float, float, float, float], nuclei: list[shapely.Geometry]
) -> Field:
    x, y, end_x, end_y = (round(edge) for edge in box)
    region = Region(y - slide.bounds.y, x - slide.bounds.x, end_y - y, end_x - x)
    inside = [one for one in nuclei if one.intersects(shapely.box(x, y, end_x, end_y))]
    outlines = [np.array(part.exterior.coords)[:, ::-1] - (y, x) for one in inside for part in _parts(one)]
    return Field(
        name=f"{slide.path.stem}_{index}",
        source="qupath",
        group=f"qupath/{slide.path.stem}",
        image=slide.read(region, slide.mpp),
        labels=filled(outlines, region.shape),
        has_instances=True,
        mpp=slide.mpp,
    )


def _parts(outline: shapely.Geometry) -> list[shapely.Polygon]:
    return [part for part in getattr(outline, "geoms", [outline]) if isinstance(part, shapely.Polygon)]


def read_tiles(folder: Path, problems: Problems) -> list[Tile]:
    """Tiles of 128 um at 0.5 um/px, at least nine tenths in an outline of a class, grouped by slide."""
    tiles = []
    for path, notes in annotated(folder):
        with problems.at(notes):
            named = [(name, outline) for name, outline in features(notes) if name and not name.endswith("*")]
            if not named:
                raise ConfigError("no outline has a class; set one in QuPath and export again")
            with problems.at(path), open_slide(path) as slide:
                for name, outline in named:
                    tiles += [
                        Tile(
                            name=f"{slide.path.stem}_y{corner[0]}_x{corner[1]}",
                            source="qupath",
                            group=f"qupath/{slide.path.stem}",
                            image=_tile(slide, corner),
                            class_name=name,
                            mpp=TILE_MPP,
                        )
                        for corner in _corners(outline, TILE_UM / slide.mpp)
                    ]
    return tiles


def _corners(outline: shapely.Geometry, side: float) -> Iterator[tuple[int, int]]:
    """(y, x) of the grid's squares of ``side`` level-0 px that lie in the outline."""
    x, y, end_x, end_y = outline.bounds
    shapely.prepare(outline)
    for row in range(math.floor(y / side), math.ceil(end_y / side)):
        for column in range(math.floor(x / side), math.ceil(end_x / side)):
            square = shapely.box(column * side, row * side, (column + 1) * side, (row + 1) * side)
            if outline.intersection(square).area >= INSIDE * square.area:
                yield round(row * side), round(column * side)


def _tile(slide: Slide, corner: tuple[int, int]) -> Any:
    """Tile (side, side, 3) at the tiles' mpp whose corner is a level-0 px."""
    side = round(TILE_UM / TILE_MPP)
    y, x = (
        round((at - bound) * slide.mpp / TILE_MPP)
        for at, bound in zip(corner, (slide.bounds.y, slide.bounds.x), strict=True)
    )
    return slide.read(Region(y, x, side, side), TILE_MPP)
