"""Slides with annotations exported from QuPath as training data.

The GeoJSON file has the slide's stem. Level-0 px count from the corner of the scanned bounds, in QuPath as in
a slide here. Nuclei: rectangles of class ``Region*`` are fields in which every nucleus is outlined; all other
outlines are nuclei. Tissue: outlines with a class are cut into tiles of 128 µm; classes that end with ``*``
are left out.
"""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.store.geojson_files import holds_geojson
from wsipipe.store.geojson_objects import SlideObject, described, left_out, read_objects
from wsipipe.tiling.slide import Slide, open_slide
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.datasets.polygons import filled
from wsipipe.training.samples import Field, Rgb, Tile

REGION = "Region*"
TILE_UM = 128.0
TILE_MPP = 0.5
INSIDE = 0.9
SUFFIXES = (".geojson", ".geojson.gz", ".geojson.zip")


def annotated(folder: Path) -> list[tuple[Path, Path]]:
    """Return slides and the GeoJSON files of their stems."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    notes = {stem_of(path): path for path in files if is_geojson(path)}
    slides = [
        path for path in files if path not in notes.values() and path.suffix not in (".csv", ".json", ".txt")
    ]
    pairs = [(path, notes.get(path.stem) or notes.get(path.name)) for path in slides]
    return [(path, found) for path, found in pairs if found is not None]


def fits(folder: Path) -> bool:
    """Return whether at least one slide has a GeoJSON file of its name."""
    return bool(annotated(folder))


def features(path: Path) -> list[SlideObject]:
    """Read the objects with an outline from a GeoJSON file.

    Objects that are left out are reported as a warning.

    Raises:
        ConfigError: The file has no objects.
    """
    objects = read_objects(path)
    problems = left_out(objects)
    if problems:
        warnings.warn(
            f"{path}: {sum(problems.values()):,} of {len(objects):,} objects are left out: "
            f"{described(problems)}.",
            stacklevel=2,
        )
    return [one for one in objects if not one.problem]


def is_geojson(path: Path) -> bool:
    """Return whether a file is GeoJSON.

    ``SLIDE.zip``, which QuPath writes for compressed exports, counts too.
    """
    return path.name.lower().endswith(SUFFIXES) or (path.suffix.lower() == ".zip" and holds_geojson(path))


def stem_of(path: Path) -> str:
    """Return the name of a GeoJSON file without its suffixes."""
    name = path.name.lower()
    ending = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), ".zip")
    return path.name[: -len(ending)]


def _class_of(one: SlideObject) -> str:
    return one.label or one.name


def read_fields(folder: Path, problems: Problems) -> list[Field]:
    """Read one field per rectangle of class ``Region*``.

    Fields are at the slide's own mpp.
    """
    return fields_of(annotated(folder), problems)


def fields_of(pairs: list[tuple[Path, Path]], problems: Problems) -> list[Field]:
    """Read one field per rectangle of class ``Region*`` from slides and their GeoJSON files."""
    fields = []
    for path, notes in pairs:
        with problems.at(notes):
            found = features(notes)
            boxes = [one.outline.bounds for one in found if _class_of(one) == REGION]
            if not boxes:
                raise ConfigError(
                    f"no rectangle has the class {REGION}; draw one around each part in which all nuclei are "
                    "outlined"
                )
            nuclei = [
                _nucleus(one) for one in found if one.kind != "tile" and not _class_of(one).endswith("*")
            ]
            with problems.at(path), open_slide(path) as slide:
                fields += [_field(slide, index, box, nuclei) for index, box in enumerate(boxes)]
    return fields


def _field(
    slide: Slide, index: int, box: tuple[float, float, float, float], nuclei: list[shapely.Geometry]
) -> Field:
    x, y, end_x, end_y = (round(edge) for edge in box)
    region = Region(y, x, end_y - y, end_x - x)
    if not region.clipped(slide.bounds.shape).area_px:
        raise ConfigError(
            f"a rectangle of class {REGION} is outside {slide.path}; check that the file is this slide's"
        )
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


def _nucleus(one: SlideObject) -> shapely.Geometry:
    """Return the outline of an object; of a cell, that of its nucleus."""
    return one.outline if one.nucleus is None else one.nucleus


def _parts(outline: shapely.Geometry) -> list[shapely.Polygon]:
    return [part for part in getattr(outline, "geoms", [outline]) if isinstance(part, shapely.Polygon)]


def read_tiles(folder: Path, problems: Problems) -> list[Tile]:
    """Read tiles of 128 µm at 0.5 µm/px, grouped by slide.

    At least nine tenths of a tile are inside an outline of its class.
    """
    return tiles_of(annotated(folder), problems)


def tiles_of(pairs: list[tuple[Path, Path]], problems: Problems) -> list[Tile]:
    """Read tiles of 128 µm at 0.5 µm/px from slides and their GeoJSON files."""
    tiles = []
    for path, notes in pairs:
        with problems.at(notes):
            named = [(_class_of(one), one.outline) for one in features(notes)]
            named = [(name, outline) for name, outline in named if name and not name.endswith("*")]
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
                        for corner in _corners(_clipped(outline, slide), TILE_UM / slide.mpp)
                    ]
    return tiles


def _clipped(outline: shapely.Geometry, slide: Slide) -> shapely.Geometry:
    """Clip an outline to the slide.

    One wrong corner must not make millions of tiles.
    """
    return outline.intersection(shapely.box(0, 0, slide.bounds.width, slide.bounds.height))


def _corners(outline: shapely.Geometry, side: float) -> Iterator[tuple[int, int]]:
    """Yield corners (y, x) of grid squares inside the outline.

    Args:
        outline: Outline of a class.
        side: Side of the squares, level-0 px.
    """
    if outline.is_empty:
        return
    x, y, end_x, end_y = outline.bounds
    shapely.prepare(outline)
    for row in range(math.floor(y / side), math.ceil(end_y / side)):
        for column in range(math.floor(x / side), math.ceil(end_x / side)):
            square = shapely.box(column * side, row * side, (column + 1) * side, (row + 1) * side)
            if outline.intersection(square).area >= INSIDE * square.area:
                yield round(row * side), round(column * side)


def _tile(slide: Slide, corner: tuple[int, int]) -> Rgb:
    """Read a tile (side, side, 3) at the tiles' mpp.

    Args:
        slide: Slide to read.
        corner: Corner (y, x) of the tile, level-0 px.
    """
    side = round(TILE_UM / TILE_MPP)
    y, x = (round(at * slide.mpp / TILE_MPP) for at in corner)
    return slide.read(Region(y, x, side, side), TILE_MPP)
