"""Read objects of GeoJSON files of QuPath.

All forms that QuPath 0.2 to 0.6 writes are read. An object that cannot be used states its problem; the
other objects of the file are still read.

Source: QuPath's source code (GsonTools, QuPathTypeAdapters, ROITypeAdapters; 0.3 to 0.6): a
FeatureCollection, a bare list or one Feature; classes as ``name``, ``names`` or ``parentClass``; types as
``objectType`` or as the id; ``nucleusGeometry`` of cells; ``childObjects``. RFC 7946 for the geometry.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shapely.geometry.base import BaseGeometry

from wsipipe.errors import ConfigError
from wsipipe.store.geojson_files import stored_features
from wsipipe.store.geojson_outlines import read_outlines

Kind = Literal["annotation", "detection", "cell", "tile", "tmaCore", "root", ""]
_KINDS: dict[str, Kind] = {
    "annotation": "annotation",
    "detection": "detection",
    "cell": "cell",
    "tile": "tile",
    "tmaCore": "tmaCore",
    "tma_core": "tmaCore",
    "root": "root",
    # QuPath 0.2 wrote the type as the id.
    "PathAnnotationObject": "annotation",
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathTileObject": "tile",
    "TMACoreObject": "tmaCore",
    "PathRootObject": "root",
}
_CHILDREN = ("childObjects", "children")
SHOWN = 5
"""Maximal number of problems listed in one message."""


@dataclass(frozen=True)
class SlideObject:
    """One object of a GeoJSON file.

    Attributes:
        outline: Valid Polygon or MultiPolygon with area, (x, y) in level-0 px; None where there is a problem.
        nucleus: Outline of the nucleus of a cell, None for other objects and for cells without one.
        kind: Type in QuPath; empty where the file does not state one.
        label: Class with the classes it derives from, ``Nucleus: Tumor``; empty for none.
        name: Name, empty for none.
        uuid: Id of the feature as text, empty for none.
        number: ``nucleus_id``, else the name where it is a number; 0 for none.
        problem: Reason why the object cannot be used; empty for none.
    """

    outline: Any
    nucleus: Any
    kind: Kind
    label: str
    name: str
    uuid: str
    number: int
    problem: str


def read_objects(path: Path) -> list[SlideObject]:
    """Read all objects of a file, usable or not.

    Args:
        path: ``.geojson`` or ``.json`` file in level-0 px of the slide, plain, gzipped or in a ZIP archive.

    Raises:
        ConfigError: The file cannot be read, is no GeoJSON, or holds no usable object.
    """
    features = list(_flat(stored_features(path)))
    outlines, problems = read_outlines([_get(feature, "geometry") for feature in features])
    nuclei, _ = read_outlines([_get(feature, "nucleusGeometry") for feature in features])
    objects = [
        _object(feature, outline, nucleus, problem)
        for feature, outline, nucleus, problem in zip(features, outlines, nuclei, problems, strict=True)
    ]
    objects = [one for one in objects if one.kind != "root"]
    if all(one.problem for one in objects):
        found = described(left_out(objects)) or "it is empty"
        raise ConfigError(
            f"{path} holds no outline that can be used: {found}. Export annotations or detections with an "
            "area from QuPath (File > Export objects as GeoJSON)."
        )
    return objects


def left_out(objects: Iterable[SlideObject]) -> Counter[str]:
    """Count the unusable objects by problem."""
    return Counter(one.problem for one in objects if one.problem)


def described(problems: Mapping[str, int]) -> str:
    """Format problems as one line, most frequent first.

    Example: ``2 Point without area, 1 without geometry``.
    """
    ordered = sorted(problems.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{count:,} {problem}" for problem, count in ordered[:SHOWN]]
    more = sum(count for _, count in ordered[SHOWN:])
    return ", ".join([*named, *([f"{more:,} with other problems"] if more else [])])


def label_of(classification: object) -> str:
    """Return the name of a QuPath class, such as ``Nucleus: Tumor``.

    Args:
        classification: Class in any form that QuPath writes.

    Returns:
        Name with the names of its parent classes; empty for no class.
    """
    if isinstance(classification, list):
        named = [label_of(one) for one in classification]
    elif isinstance(classification, dict):
        own = classification.get("names") or [classification.get("name")]
        own = own if isinstance(own, list) else [own]
        named = [label_of(classification.get("parentClass")), *(label_of(one) for one in own)]
    else:
        named = [_text(classification)]
    return ": ".join(name for name in named if name)


def _flat(features: Iterable[object]) -> Iterator[object]:
    """Yield features and their child objects in order."""
    pending = list(features)[::-1]
    while pending:
        feature = pending.pop()
        yield feature
        about = _properties(feature)
        for children in (about.get(key) for key in _CHILDREN):
            pending += children[::-1] if isinstance(children, list) else []


def _object(
    feature: object, outline: BaseGeometry | None, nucleus: BaseGeometry | None, problem: str
) -> SlideObject:
    about = _properties(feature)
    kind, name = _kind(feature, about), _text(about.get("name"))
    if not isinstance(feature, dict):
        problem = "that are no GeoJSON features"
    elif kind == "tmaCore":
        problem = "TMA cores"
    return SlideObject(
        outline=None if problem else outline,
        nucleus=None if problem else nucleus,
        kind=kind,
        label=label_of(about.get("classification")),
        name=name,
        uuid=_text(_get(feature, "id")),
        number=_number(about.get("nucleus_id")) or _number(name),
        problem=problem,
    )


def _kind(feature: object, about: dict[str, object]) -> Kind:
    stated = (about.get("objectType"), about.get("object_type"), about.get("type"), _get(feature, "id"))
    known = (_KINDS[one] for one in stated if isinstance(one, str) and one in _KINDS)
    return next(known, "")


def _properties(feature: object) -> dict[str, object]:
    about = _get(feature, "properties")
    return about if isinstance(about, dict) else {}


def _get(feature: object, key: str) -> object:
    return feature.get(key) if isinstance(feature, dict) else None


def _text(value: object) -> str:
    """Return a text or number as text, anything else as empty text."""
    is_name = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value).strip() if is_name else ""


def _number(value: object) -> int:
    """Return a positive number that fits uint32, else 0.

    It may be given as text.
    """
    text = _text(value).removesuffix(".0")
    number = int(text) if text.isdecimal() and len(text) <= 10 else 0
    return number if number < 2**32 else 0
