"""GeoJSON that a person edited in QuPath -> acts of a session: what differs from the slide, nothing else.

A nucleus is known by ``nucleus_id``, else by its name; a feature without either, or whose id is taken, is a
new nucleus. Geometry counts by the centres of pixels, so an untouched outline is an untouched nucleus. What
is not in the file stays, unless the file is said to be complete: an export of a selection must not delete.
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import shapely

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.results import NUCLEI_TABLE
from wsipipe.review import edits
from wsipipe.review.session import Session

_TOOL = "import"
_PREFIX = "Nucleus"
_ROUNDING_PX = 0.02
"""Files hold hundredths of a level-0 px."""


@dataclass(frozen=True)
class Feature:
    """One object of the file.

    Attributes:
        nucleus: Id it says it has, 0 for none.
        class_name: Class, without the ``Nucleus:`` in front; empty for none.
        is_nucleus: False for tissue.
        outline: Polygon in px of the nuclei, (x, y).
    """

    nucleus: int
    class_name: str
    is_nucleus: bool
    outline: Any


def import_geojson(session: Session, path: Path, complete: bool = False) -> Counter[str]:
    """Makes acts of what a file changes.

    Args:
        session: Open for writing.
        path: ``.geojson`` or ``.geojson.gz``, in level-0 px of the slide, of nuclei or of tissue.
        complete: Nuclei of the slide that the file lacks were deleted by the person.

    Returns:
        Acts by kind, and ``unchanged`` and ``missing`` nuclei.

    Raises:
        ConfigError: It is no GeoJSON of polygons, or a tissue class is unknown.
    """
    features = read_features(path, session.source.affine)
    nuclei = [feature for feature in features if feature.is_nucleus]
    done: Counter[str] = Counter()
    known, new = _sorted_out(session, nuclei)
    # Decided before the first act: a neighbour that grew over a nucleus does not make that one changed.
    reshaped = [feature for feature in _unlike_published(session, known) if _differs(session, feature)]
    for feature in reshaped:
        _reshape(session, feature)
    relabelled = [feature for feature in known if _relabel(session, feature)]
    done.update(paint=len(reshaped), relabel=len(relabelled))
    done.update(unchanged=len(known) - len({id(feature) for feature in [*reshaped, *relabelled]}))
    done.update(kind for feature in new for kind in _draw(session, feature))
    if nuclei:
        done.update(_missing(session, {feature.nucleus for feature in nuclei}, complete))
    for feature in features:
        if not feature.is_nucleus:
            done.update(_tissue(session, feature))
    return +done


def read_features(path: Path, affine: tuple[float, float, float]) -> list[Feature]:
    """Polygons of a file in px of the nuclei.

    Args:
        path: ``.geojson`` or ``.geojson.gz``.
        affine: (offset y, offset x, step): level-0 px = offset + step * px.

    Raises:
        ConfigError: It is no GeoJSON of polygons.
    """
    stored = _stored(path)
    try:
        outlines = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in stored])
        properties = [feature.get("properties") or {} for feature in stored]
    except (KeyError, TypeError, AttributeError, shapely.errors.GEOSException) as error:
        raise ConfigError(f"{path} has a feature without a geometry that can be read ({error}).") from error
    for outline in outlines:
        if outline is None or outline.geom_type not in ("Polygon", "MultiPolygon"):
            raise ConfigError(
                f"{path}: one feature is a {outline and outline.geom_type}; nuclei and tissue are polygons. "
                f"Leave other objects out when you export from QuPath."
            )
    outlines = to_px(outlines, affine)
    return [_feature(about, outline) for about, outline in zip(properties, outlines, strict=True)]


def to_px(outlines: Any, affine: tuple[float, float, float]) -> Any:
    """Shapely outlines in level-0 px -> in px of the nuclei."""
    offset, step = np.array([affine[1], affine[0]]), affine[2]
    return shapely.transform(outlines, lambda points: (points - offset) / step)


def _stored(path: Path) -> list[dict[str, Any]]:
    try:
        data = path.read_bytes()
        stored = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(
            f"{path} could not be read as GeoJSON ({error}); export it from QuPath again."
        ) from error
    found = stored.get("features") if isinstance(stored, dict) else stored
    if not isinstance(found, list):
        raise ConfigError(f"{path} holds no features; export objects from QuPath as GeoJSON.")
    return found


def _feature(properties: dict[str, Any], outline: Any) -> Feature:
    label = (properties.get("classification") or {}).get("name", "")
    name, is_detection = str(properties.get("name", "")), properties.get("objectType") != "annotation"
    is_nucleus = is_detection or label.partition(":")[0] == _PREFIX
    nucleus = properties.get("nucleus_id", name if name.isdecimal() else 0)
    in_front, _, rest = label.partition(":")
    class_name = rest.strip() if in_front == _PREFIX else label
    return Feature(int(nucleus), class_name, is_nucleus, outline)


def _sorted_out(session: Session, features: list[Feature]) -> tuple[list[Feature], list[Feature]]:
    """Features that are nuclei of the slide, and new ones; of two with one id the second is new."""
    known: list[Feature] = []
    new: list[Feature] = []
    taken = set()
    for feature in features:
        is_known = bool(feature.nucleus) and feature.nucleus not in taken
        is_known = is_known and session.area_px(feature.nucleus) > 0
        taken.add(feature.nucleus)
        (known if is_known else new).append(feature)
    return known, new


def _unlike_published(session: Session, features: list[Feature]) -> list[Feature]:
    """Those whose outline is not the published one, or on which the session acted; quick."""
    path = session.source.folder / NUCLEI_TABLE
    if not features or not path.is_file():
        return features
    table = pq.read_table(path, columns=["id", "polygon"])
    ids = np.array([feature.nucleus for feature in features])
    rows = np.minimum(np.searchsorted(table["id"].to_numpy(), ids), table.num_rows - 1)
    published = to_px(shapely.from_wkb(table["polygon"].to_numpy()[rows]), session.source.affine)
    mine = shapely.normalize(np.array([feature.outline for feature in features], object))
    alike = shapely.equals_exact(mine, shapely.normalize(published), tolerance=_ROUNDING_PX)
    alike &= table["id"].to_numpy()[rows] == ids
    alike &= ~np.isin(ids, list(session.state.touched))
    return [feature for feature, same in zip(features, alike, strict=True) if not same]


def _pixels(session: Session, feature: Feature) -> tuple[Region, Array, Array]:
    """Window of a known nucleus, its labels there, and where the file wants the nucleus (bool)."""
    window = _around(feature.outline, session.box(feature.nucleus)).clipped(session.shape)
    inside = edits.polygon(window, feature.outline)
    if not inside.any():
        raise ConfigError(
            f"Nucleus {feature.nucleus} of the file holds no pixel of the slide; is it another slide's?"
        )
    return window, session.labels(window), inside


def _differs(session: Session, feature: Feature) -> bool:
    _, labels, inside = _pixels(session, feature)
    return bool((inside != (labels == feature.nucleus)).any())


def _reshape(session: Session, feature: Feature) -> None:
    window, labels, inside = _pixels(session, feature)
    after = np.where(labels == feature.nucleus, np.uint32(0), labels)
    after = edits.filled(after, inside, feature.nucleus, over=True)
    session.repaint(window, after, ids=[feature.nucleus], tool=_TOOL)


def _relabel(session: Session, feature: Feature) -> bool:
    differs = bool(feature.class_name) and feature.class_name != session.class_of(feature.nucleus)
    if differs and session.area_px(feature.nucleus) > 0:
        session.relabel([feature.nucleus], feature.class_name, tool=_TOOL)
    return differs


def _draw(session: Session, feature: Feature) -> Iterable[str]:
    """A new nucleus, over what it was cut from."""
    window = _around(feature.outline).clipped(session.shape)
    inside = edits.polygon(window, feature.outline)
    if not inside.any():
        return ["too small"]
    identity = session.next_id
    after = edits.filled(session.labels(window), inside, identity, over=True)
    session.redraw(window, after, identity, feature.class_name, _TOOL)
    return ["draw"]


def _missing(session: Session, named: set[int], complete: bool) -> dict[str, int]:
    nuclei = session.source.nuclei.ids
    gone = [int(i) for i in nuclei[~np.isin(nuclei, list(named))] if session.area_px(int(i)) > 0]
    if not complete:
        return {"missing": len(gone)}
    for identity in gone:
        session.delete([identity], tool=_TOOL)
    return {"delete": len(gone)}


def _tissue(session: Session, feature: Feature) -> Iterable[str]:
    values = {item.name: item.value for item in session.source.classes}
    if feature.class_name not in values:
        raise ConfigError(
            f"The file has tissue of the class {feature.class_name!r}; the model knows {', '.join(values)}."
        )
    factor = session.source.class_downsample
    outline = shapely.transform(feature.outline, lambda points: points / factor)
    window = _around(outline).clipped(session.tissue_labels.shape)
    before = session.tissue(window)
    after = np.where(edits.polygon(window, outline), np.uint8(values[feature.class_name]), before)
    if (before == after).all():
        return ["unchanged tissue"]
    session.retissue(window, after, feature.class_name, _TOOL)
    return ["tissue"]


def _around(outline: Any, other: Region | None = None) -> Region:
    x, y, end_x, end_y = shapely.bounds(outline).tolist()
    corners = [(y, x), (end_y, end_x)]
    corners += [(other.y, other.x), (other.end_y, other.end_x)] if other else []
    return edits.around(corners)
