"""Read nuclei and tissue from a GeoJSON file."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array
from wsipipe.review.build_edit import MAX_EDIT_PX
from wsipipe.review.session import Session
from wsipipe.store.geojson import object_uuid
from wsipipe.store.geojson_objects import SlideObject, described, read_objects

_PREFIX = "Nucleus"
_OUTSIDE = "outside the slide"


@dataclass(frozen=True)
class Feature:
    """One object of a file.

    Attributes:
        nucleus: Id of the nucleus that it names; 0 for none.
        class_name: Class without the prefix ``Nucleus:``; empty for none.
        is_nucleus: Whether it is a nucleus; tissue otherwise.
        outline: Polygon in px of the nuclei, (x, y); None if there is a problem.
        problem: Reason why it is left out; empty otherwise.
    """

    nucleus: int
    class_name: str
    is_nucleus: bool
    outline: shapely.Polygon | None
    problem: str


def read_features(session: Session, path: Path) -> tuple[list[Feature], Counter[str]]:
    """Read nuclei and tissue of a file.

    Args:
        session: Session of the slide.
        path: GeoJSON in level-0 px of the slide.

    Returns:
        All features, also those left out, and the number left out by cause.

    Raises:
        ConfigError: It is no GeoJSON, or no feature can be used.
    """
    objects = read_objects(path)
    known = _nuclei_by_uuid(session, objects)
    features = [_feature(session, one, known) for one in objects]
    valid = [index for index, feature in enumerate(features) if not feature.problem]
    outlines = to_px(np.array([features[index].outline for index in valid], object), session.published.affine)
    for index, outline in zip(valid, outlines, strict=True):
        features[index] = replace(features[index], outline=outline)
    for index, problem in zip(valid, _misplaced(session, [features[index] for index in valid]), strict=True):
        features[index] = replace(features[index], problem=problem)
    left_out = Counter(feature.problem for feature in features if feature.problem)
    if sum(left_out.values()) == len(features):
        raise ConfigError(f"Nothing in {path} can be imported: {described(left_out)}. {_remedy(left_out)}")
    return features, left_out


def to_px(outlines: Array, affine: tuple[float, float, float]) -> Array:
    """Convert shapely outlines from level-0 px to px of the nuclei."""
    offset, step = np.array([affine[1], affine[0]]), affine[2]
    return shapely.transform(outlines, lambda points: (points - offset) / step)


def _feature(session: Session, one: SlideObject, known: dict[str, int]) -> Feature:
    in_front, _, rest = one.label.partition(":")
    is_labelled = in_front.strip() == _PREFIX
    class_name = rest.strip() if is_labelled else one.label
    is_nucleus = is_labelled or one.kind != "annotation"
    problem = one.problem or ("tiles (superpixels)" if one.kind == "tile" else "")
    if not problem and not is_nucleus:
        problem = _tissue_problem(session, class_name)
    # If the name was changed by a person, the object's id still identifies the nucleus.
    nucleus = one.number or known.get(one.uuid.lower(), 0)
    outline = one.outline if one.nucleus is None else one.nucleus
    return Feature(nucleus, class_name, is_nucleus, outline, problem)


def _tissue_problem(session: Session, class_name: str) -> str:
    names = [item.name for item in session.published.classes]
    if class_name in names:
        return ""
    called = f"of the class {class_name!r}" if class_name else "without a class"
    return f"annotations {called}; the model knows {', '.join(names) or 'no tissue classes'}"


def _nuclei_by_uuid(session: Session, objects: list[SlideObject]) -> dict[str, int]:
    """Return published nuclei by the id of their GeoJSON objects.

    It is empty if every object has a number.
    """
    if all(one.number for one in objects if one.uuid):
        return {}
    published = session.published
    return {object_uuid(published.slide_id, int(nucleus)): int(nucleus) for nucleus in published.nuclei.ids}


def _misplaced(session: Session, features: list[Feature]) -> list[str]:
    """Return problems of place and size (n,); empty for none."""
    height, width = session.shape
    outlines = np.array([feature.outline for feature in features], object)
    x, y, end_x, end_y = shapely.bounds(outlines).reshape(-1, 4).T
    is_off = (end_x <= 0) | (end_y <= 0) | (x >= width) | (y >= height)
    area_px = (np.minimum(end_x, width) - np.maximum(x, 0)) * (np.minimum(end_y, height) - np.maximum(y, 0))
    is_large = (area_px > MAX_EDIT_PX) & np.array([feature.is_nucleus for feature in features], bool)
    return [
        _OUTSIDE if off else "too large for a nucleus" if large else ""
        for off, large in zip(is_off.tolist(), is_large.tolist(), strict=True)
    ]


def _remedy(left_out: Counter[str]) -> str:
    if _OUTSIDE in left_out:
        return "It may belong to another slide; export it from QuPath with this slide open."
    return "Export nuclei as detections, or annotations whose class is one of the model's tissue classes."
