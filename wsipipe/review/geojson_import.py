"""Import the differences in a GeoJSON file from QuPath.

A nucleus is identified by ``nucleus_id``, else by its name; a feature without either, or whose id is taken,
is a new nucleus. Outlines are compared by the centres of pixels, so an untouched outline is an untouched
nucleus. Nuclei that are not in the file are kept, unless the file is declared complete: an export of a
selection must not delete.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import shapely

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.review import label_ops
from wsipipe.review.geojson_features import Feature, read_features, to_px
from wsipipe.review.session import Session
from wsipipe.store.names import NUCLEI_TABLE

_TOOL = "import"
LEFT_OUT = "left out: "
_TOO_SMALL = f"{LEFT_OUT}too small for a pixel of the slide"
_ROUNDING_PX = 0.02
"""Tolerance for outlines; files hold hundredths of a level-0 px."""


def import_geojson(session: Session, path: Path, complete: bool = False) -> Counter[str]:
    """Import a GeoJSON file.

    Args:
        session: Session open for writing.
        path: GeoJSON (also gzipped or zipped) of nuclei, tissue or both, in level-0 px of the slide.
        complete: Whether to delete nuclei that are not in the file.

    Returns:
        Number of edits by kind, of ``unchanged`` and ``missing`` nuclei, and of features left out, by cause.

    Raises:
        ConfigError: It is no GeoJSON, or no feature can be used.
    """
    features, left_out = read_features(session, path)
    nuclei = [feature for feature in features if feature.is_nucleus]
    # Features with a problem count too: a nucleus that is in the file was not deleted.
    named = {feature.nucleus for feature in nuclei}
    usable = [feature for feature in features if not feature.problem]
    done: Counter[str] = Counter({f"{LEFT_OUT}{cause}": count for cause, count in left_out.items()})
    known, new = _known_and_new(session, [feature for feature in usable if feature.is_nucleus])
    # Decided before the first edit: a nucleus is not changed by a neighbour that grows over it.
    changes = {id(feature): _change(session, feature) for feature in _unlike_published(session, known)}
    edits = [_known(session, feature, changes.get(id(feature), "same")) for feature in known]
    done.update(kind for kinds in edits for kind in kinds)
    done.update(unchanged=edits.count([]))
    done.update(kind for feature in new for kind in _draw(session, feature))
    if nuclei:
        done.update(_missing(session, named, complete))
    for feature in usable:
        if not feature.is_nucleus:
            done.update(_tissue(session, feature))
    return +done


def _known_and_new(session: Session, features: list[Feature]) -> tuple[list[Feature], list[Feature]]:
    """Separate nuclei of the slide from new ones.

    Of two features with the same id the second is new.
    """
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
    """Return features that may differ, by a quick comparison."""
    path = session.published.folder / NUCLEI_TABLE
    if not features or not path.is_file():
        return features
    table = pq.read_table(path, columns=["id", "polygon"])
    ids = np.array([feature.nucleus for feature in features])
    rows = np.minimum(np.searchsorted(table["id"].to_numpy(), ids), table.num_rows - 1)
    published = to_px(shapely.from_wkb(table["polygon"].to_numpy()[rows]), session.published.affine)
    mine = shapely.normalize(np.array([feature.outline for feature in features], object))
    alike = shapely.equals_exact(mine, shapely.normalize(published), tolerance=_ROUNDING_PX)
    alike &= table["id"].to_numpy()[rows] == ids
    alike &= ~np.isin(ids, list(session.history.touched))
    return [feature for feature, same in zip(features, alike, strict=True) if not same]


def _pixels(session: Session, feature: Feature) -> tuple[Region, Array, Array]:
    """Return window, labels and imported mask of a nucleus."""
    window = _around(feature.outline, session.shape, session.box(feature.nucleus))
    return window, session.labels(window), label_ops.polygon_mask(window, feature.outline)


def _change(session: Session, feature: Feature) -> str:
    """Compare a nucleus with its imported outline.

    Returns ``same``, ``other``, or ``none`` if no pixel centre is in the outline.
    """
    _, labels, inside = _pixels(session, feature)
    if not inside.any():
        return "none"
    return "other" if (inside != (labels == feature.nucleus)).any() else "same"


def _known(session: Session, feature: Feature, change: str) -> list[str]:
    """Edit a nucleus; return the kinds of edits."""
    done = [_TOO_SMALL] if change == "none" else []
    if change == "other":
        done.append(_reshape(session, feature))
    if _relabel(session, feature):
        done.append("relabel")
    return done


def _reshape(session: Session, feature: Feature) -> str:
    window, labels, inside = _pixels(session, feature)
    after = np.where(labels == feature.nucleus, np.uint32(0), labels)
    after = label_ops.filled(after, inside, feature.nucleus, over=True)
    try:
        session.repaint(window, after, ids=[feature.nucleus], tool=_TOOL)
    except ConfigError:  # only slivers are added, or a neighbour's new outline covers it
        return _TOO_SMALL
    return "paint"


def _relabel(session: Session, feature: Feature) -> bool:
    differs = bool(feature.class_name) and feature.class_name != session.class_of(feature.nucleus)
    if differs and session.area_px(feature.nucleus) > 0:
        session.relabel([feature.nucleus], feature.class_name, tool=_TOOL)
    return differs


def _draw(session: Session, feature: Feature) -> Iterable[str]:
    """Draw a new nucleus over those that it was cut from."""
    window = _around(feature.outline, session.shape)
    inside = label_ops.polygon_mask(window, feature.outline)
    if not inside.any():
        return [_TOO_SMALL]
    identity = session.next_id
    after = label_ops.filled(session.labels(window), inside, identity, over=True)
    try:
        session.redraw(window, after, identity, feature.class_name, _TOOL)
    except ConfigError:  # too large for one edit with the nuclei that it touches
        return [f"{LEFT_OUT}too large with its neighbours"]
    return ["draw"]


def _missing(session: Session, named: set[int], complete: bool) -> dict[str, int]:
    nuclei = session.published.nuclei.ids
    gone = [int(i) for i in nuclei[~np.isin(nuclei, list(named))] if session.area_px(int(i)) > 0]
    if not complete:
        return {"missing": len(gone)}
    for identity in gone:
        session.delete([identity], tool=_TOOL)
    return {"delete": len(gone)}


def _tissue(session: Session, feature: Feature) -> Iterable[str]:
    values = {item.name: item.value for item in session.published.classes}
    factor = session.published.class_downsample
    outline = shapely.transform(feature.outline, lambda points: points / factor)
    window = _around(outline, session.tissue_labels.shape)
    before = session.tissue(window)
    after = np.where(label_ops.polygon_mask(window, outline), np.uint8(values[feature.class_name]), before)
    if (before == after).all():
        return ["unchanged tissue"]
    session.retissue(window, after, feature.class_name, _TOOL)
    return ["tissue"]


def _around(outline: shapely.Geometry, shape: tuple[int, int], other: Region | None = None) -> Region:
    """Return a window around an outline and a region.

    It is inside an array of ``shape`` (height, width); the outline is in (x, y).
    """
    x, y, end_x, end_y = shapely.bounds(outline).clip(0, [shape[1], shape[0]] * 2).tolist()
    corners = [(y, x), (end_y, end_x)]
    corners += [(other.y, other.x), (other.end_y, other.end_x)] if other else []
    return label_ops.bounds_of(corners).clipped(shape)
