"""Objects of a GeoJSON file as nuclei and tissue of a slide, and what is left out and why."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from wsipipe.errors import ConfigError
from wsipipe.review.session import MOST_PX, Session
from wsipipe.store.geojson import object_uuid
from wsipipe.store.geojson_objects import SlideObject, described, read_objects

_PREFIX = "Nucleus"
_OUTSIDE = "outside the slide"


@dataclass(frozen=True)
class Feature:
    """One object of the file.

    Attributes:
        nucleus: Id of the nucleus that it says it is, 0 for none.
        class_name: Class, without the ``Nucleus:`` in front; empty for none.
        is_nucleus: False for tissue.
        outline: Polygon in px of the nuclei, (x, y); None where there is a problem.
        problem: Why it is left out; empty where it is not.
    """

    nucleus: int
    class_name: str
    is_nucleus: bool
    outline: Any
    problem: str


def read_features(session: Session, path: Path) -> tuple[list[Feature], Counter[str]]:
    """Read nuclei and tissue of a file.

    Args:
        session: Session of the slide.
        path: GeoJSON in level-0 px of the slide.

    Returns:
        All features, also those that are left out, and the number left out by cause.

    Raises:
        ConfigError: It is no GeoJSON, or no feature of it can be used.
    """
    objects = read_objects(path)
    known = _nuclei_by_uuid(session, objects)
    features = [_feature(session, one, known) for one in objects]
    whole = [index for index, feature in enumerate(features) if not feature.problem]
    outlines = to_px(np.array([features[index].outline for index in whole], object), session.source.affine)
    for index, outline in zip(whole, outlines, strict=True):
        features[index] = replace(features[index], outline=outline)
    for index, problem in zip(whole, _misplaced(session, [features[index] for index in whole]), strict=True):
        features[index] = replace(features[index], problem=problem)
    left_out = Counter(feature.problem for feature in features if feature.problem)
    if sum(left_out.values()) == len(features):
        raise ConfigError(
            f"{path} holds nothing that can be taken over: {described(left_out)}. {_remedy(left_out)}"
        )
    return features, left_out


def to_px(outlines: Any, affine: tuple[float, float, float]) -> Any:
    """Shapely outlines in level-0 px -> in px of the nuclei."""
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
    # A name that a person typed over must not turn a known nucleus into a new one: the object's id counts.
    nucleus = one.number or known.get(one.uuid.lower(), 0)
    outline = one.outline if one.nucleus is None else one.nucleus
    return Feature(nucleus, class_name, is_nucleus, outline, problem)


def _tissue_problem(session: Session, class_name: str) -> str:
    names = [item.name for item in session.source.classes]
    if class_name in names:
        return ""
    called = f"of the class {class_name!r}" if class_name else "without a class"
    return f"annotations {called}; the model knows {', '.join(names) or 'no tissue classes'}"


def _nuclei_by_uuid(session: Session, objects: list[SlideObject]) -> dict[str, int]:
    """Published nuclei by the id that their GeoJSON objects have; only made where a number is missing."""
    if all(one.number for one in objects if one.uuid):
        return {}
    source = session.source
    return {object_uuid(source.slide_id, int(nucleus)): int(nucleus) for nucleus in source.nuclei.ids}


def _misplaced(session: Session, features: list[Feature]) -> list[str]:
    """Problem of each feature (n,) with its place and size in px of the nuclei; empty for none."""
    height, width = session.shape
    outlines = np.array([feature.outline for feature in features], object)
    x, y, end_x, end_y = shapely.bounds(outlines).reshape(-1, 4).T
    is_off = (end_x <= 0) | (end_y <= 0) | (x >= width) | (y >= height)
    area_px = (np.minimum(end_x, width) - np.maximum(x, 0)) * (np.minimum(end_y, height) - np.maximum(y, 0))
    is_large = (area_px > MOST_PX) & np.array([feature.is_nucleus for feature in features], bool)
    return [
        _OUTSIDE if off else "too large for a nucleus" if large else ""
        for off, large in zip(is_off.tolist(), is_large.tolist(), strict=True)
    ]


def _remedy(left_out: Counter[str]) -> str:
    if _OUTSIDE in left_out:
        return "Is it another slide's file? Export it from QuPath with this slide open."
    return "Export nuclei as detections, or annotations whose class is one of the model's tissue classes."
