"""Read nuclei outlines from GeoJSON and draw them on demand."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import shapely

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.review.geojson_features import to_px
from wsipipe.review.label_ops import polygon_mask
from wsipipe.store.geojson_objects import SlideObject, described, left_out, read_objects

_PREFIX = "Nucleus"
_OUTSIDE = "outside the slide"


class ReferenceGrid(Protocol):
    """Grid of px on a slide."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        ...

    @property
    def affine(self) -> tuple[float, float, float]:
        """(offset y, offset x, step): level-0 px = offset + step * px."""
        ...


class ReferenceOutlines:
    """Nuclei as polygons in px of a result.

    Attributes:
        classes: Class of each nucleus by id; ids count from 1 in the order of the file.
        left_out: Number of objects that are no nuclei of the slide, by cause.
    """

    def __init__(self, polygons: Array, classes: Mapping[int, str], problems: Mapping[str, int]) -> None:
        self._polygons, self._tree = polygons, shapely.STRtree(polygons)
        self.classes, self.left_out = classes, problems

    @property
    def count(self) -> int:
        """Number of outlines."""
        return len(self._polygons)

    def beyond(self, area: shapely.Geometry) -> int:
        """Return the number of outlines that are not wholly inside an area, in px."""
        return int((~shapely.covers(area, self._polygons)).sum())

    def read(self, region: Region) -> Array:
        """Return the ids (h, w) of a region.

        A px belongs to the last outline around its centre.
        """
        labels = np.zeros(region.shape, np.int64)
        near = self._tree.query(shapely.box(region.x, region.y, region.end_x, region.end_y))
        for index in np.sort(near).tolist():
            x, y, end_x, end_y = self._polygons[index].bounds
            top, left = int(np.floor(y)), int(np.floor(x))
            window = Region(top, left, int(np.ceil(end_y)) - top, int(np.ceil(end_x)) - left)
            window = window.intersection(region)
            if window.area_px:
                part = labels[window.relative_to(region).slices]
                part[polygon_mask(window, self._polygons[index])] = index + 1
        return labels


def open_outlines(path: Path, slide: ReferenceGrid) -> ReferenceOutlines:
    """Read the nuclei of a GeoJSON file, as QuPath writes it.

    Detections and cells are nuclei; annotations are, too, if their class begins with ``Nucleus`` or if the
    file has nothing else.

    Args:
        path: File in level-0 px.
        slide: The grid on which they are drawn, as that of a result.

    Raises:
        ConfigError: It cannot be read, or holds no nucleus inside the slide.
    """
    objects = read_objects(path)
    problems = Counter(left_out(objects))
    usable = [one for one in objects if not one.problem and one.kind != "tile"]
    nuclei = [one for one in usable if _is_nucleus(one)] or usable
    problems["that are no nuclei"] += len(objects) - problems.total() - len(nuclei)
    drawn = [one.outline if one.nucleus is None else one.nucleus for one in nuclei]
    polygons = to_px(np.array(drawn, object), slide.affine)
    height, width = slide.shape
    inside = shapely.intersects(polygons, shapely.box(0, 0, width, height))
    problems[_OUTSIDE] += int((~inside).sum())
    if not inside.any():
        raise ConfigError(
            f"{path} has no nuclei inside the slide: {described(+problems)}. Export them from QuPath with "
            "this slide open."
        )
    kept = [one for one, is_inside in zip(nuclei, inside.tolist(), strict=True) if is_inside]
    names = {number: class_of(one.label) for number, one in enumerate(kept, start=1)}
    return ReferenceOutlines(
        polygons[inside], {number: name for number, name in names.items() if name}, +problems
    )


def class_of(label: str) -> str:
    """Return the class of a nucleus, without the prefix ``Nucleus:``."""
    in_front, _, rest = label.partition(":")
    return rest.strip() if in_front.strip() == _PREFIX else label


def _is_nucleus(one: SlideObject) -> bool:
    return one.kind != "annotation" or one.label.partition(":")[0].strip() == _PREFIX
