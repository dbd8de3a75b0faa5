"""Write nuclei as instances of a COCO data set, in px of the stored image.

Source: COCO, "Data format", sections 1 and 2 (images, annotations, categories; polygons).
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely

from wsipipe.common.about import RESEARCH_USE_NOTICE, __version__
from wsipipe.geometry import Array
from wsipipe.results.export.source import ExportSource

NO_CLASS = "nucleus"
"""Category of nuclei where no tissue class was computed."""
_COLUMNS = ["id", "probability", "tissue_class", "polygon"]


def write(source: ExportSource, path: Path) -> int:
    """Write one annotation per nucleus.

    Args:
        source: Result to write.
        path: File to write.

    Returns:
        Number of nuclei.
    """
    categories = {
        name: i for i, name in enumerate([NO_CLASS, *(one.name for one in source.slide.classes)], 1)
    }
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(_head(source, categories))
        for table in source.nuclei(_COLUMNS):
            for text in _annotations(table, source.slide.affine, categories):
                file.write((",\n" if count else "\n") + text)
                count += 1
        file.write("\n]}\n")
    return count


def _head(source: ExportSource, categories: dict[str, int]) -> str:
    slide = source.slide
    about = {
        "description": f"Nuclei of {slide.slide_id}. {RESEARCH_USE_NOTICE}",
        "version": __version__,
        "plan": slide.plan,
        "um_per_px": slide.mpp,
        "level0_px": dict(zip(("offset_y", "offset_x", "step"), slide.affine, strict=True)),
    }
    height, width = slide.shape
    image = {"id": 1, "file_name": f"{slide.slide_id}.ome.tif", "height": height, "width": width}
    named = [{"id": i, "name": name, "supercategory": "nucleus"} for name, i in categories.items()]
    head = json.dumps({"info": about, "licenses": [], "images": [image], "categories": named})
    return f'{head[:-1]}, "annotations": ['


def _annotations(
    table: pa.Table, affine: tuple[float, float, float], categories: dict[str, int]
) -> Iterator[str]:
    offset, step = np.array([affine[1], affine[0]]), affine[2]
    level0 = shapely.from_wkb(table["polygon"].to_numpy())
    polygons = shapely.transform(level0, lambda points: ((points - offset) / step).round(2))
    areas, bounds = shapely.area(polygons).tolist(), shapely.bounds(polygons)
    # [x, y, width, height]
    boxes = np.concatenate([bounds[:, :2], bounds[:, 2:] - bounds[:, :2]], axis=1).round(2).tolist()
    columns = (table[name].to_pylist() for name in _COLUMNS[:3])
    for identity, probability, name, polygon, area, box in zip(*columns, polygons, areas, boxes, strict=True):
        annotation = {
            "id": identity,
            "image_id": 1,
            "category_id": categories[name or NO_CLASS],
            "iscrowd": 0,
            "area": round(area, 2),
            "bbox": box,
            "score": round(probability, 4),
            "segmentation": [one_ring(polygon).ravel().tolist()],
        }
        yield json.dumps(annotation, separators=(",", ":"))


def one_ring(polygon: shapely.Polygon) -> Array:
    """Return a polygon as one ring, since COCO has no holes.

    A hole is joined by a cut without width, from its vertex nearest to the ring and back.

    Args:
        polygon: Polygon in any unit.

    Returns:
        Vertices (n, 2) as (x, y); the first one is not repeated at the end.
    """
    if not shapely.get_num_interior_rings(polygon):
        return shapely.get_coordinates(polygon)[:-1]
    oriented = shapely.geometry.polygon.orient(polygon)
    ring = shapely.get_coordinates(oriented.exterior)[:-1]
    for inner in oriented.interiors:
        hole = shapely.get_coordinates(inner)[:-1]
        distances = np.linalg.norm(ring[:, None] - hole[None], axis=2)
        at, start = np.unravel_index(distances.argmin(), distances.shape)
        turned = np.roll(hole, -int(start), axis=0)
        ring = np.concatenate([ring[: at + 1], turned, turned[:1], ring[at:]])
    return ring
