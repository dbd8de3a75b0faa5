"""Build edits of the labels without saving them.

Places and regions are (y, x) in px of the nuclei's level 0.
"""

from collections.abc import Sequence

import numpy as np

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.review import label_ops
from wsipipe.review.journal.edit import Edit
from wsipipe.review.journal.pixel_diff import diff_between
from wsipipe.review.label_ops import Point
from wsipipe.review.slide import ReviewedSlide

MAX_EDIT_PX = 1 << 26
"""Largest window of one edit."""


def judge(slide: ReviewedSlide, kind: str, ids: Sequence[int], class_name: str, tool: str) -> Edit:
    """Accept or relabel nuclei."""
    return Edit(kind=kind, tool=tool, ids=_present(slide, ids), value=class_name)


def remove(slide: ReviewedSlide, kind: str, ids: Sequence[int], tool: str) -> Edit:
    """Turn nuclei into background."""
    ids = _present(slide, ids)
    window = _window(slide, ids)
    labels = slide.labels(window)
    return replace(slide, kind, window, np.where(np.isin(labels, ids), np.uint32(0), labels), ids, tool)


def split(slide: ReviewedSlide, identity: int, line: Sequence[Point] | None, tool: str) -> Edit:
    """Split a nucleus along a line, or across its longest axis."""
    ids = _present(slide, [identity])
    window = _window(slide, ids)
    own = label_ops.moved(line, window) if line else None
    after = label_ops.split(slide.labels(window), ids[0], slide.highest_id + 1, own)
    return replace(slide, "split", window, after, ids, tool)


def merge(slide: ReviewedSlide, ids: Sequence[int], tool: str) -> Edit:
    """Merge touching nuclei into the one with the smallest id."""
    ids = _present(slide, ids)
    window = _window(slide, ids)
    return replace(slide, "merge", window, label_ops.merge(slide.labels(window), ids), ids, tool)


def draw(slide: ReviewedSlide, points: Sequence[Point], class_name: str, tool: str) -> Edit:
    """Draw a nucleus on the background inside a polygon."""
    window, inside = label_ops.polygon_in(points, slide.shape)
    identity = slide.highest_id + 1
    after = label_ops.filled(slide.labels(window), inside, identity)
    return replace(slide, "draw", window, after, (identity,), tool, class_name)


def paint(slide: ReviewedSlide, identity: int, points: Sequence[Point], radius_px: float, tool: str) -> Edit:
    """Paint a nucleus along a line; erase with id 0."""
    window, brush = label_ops.stroke_in(points, radius_px, slide.shape)
    after = label_ops.filled(slide.labels(window), brush, identity, over=True)
    kind, ids = ("paint", (identity,)) if identity else ("erase", ())
    return replace(slide, kind, window, after, ids, tool)


def replace(
    slide: ReviewedSlide,
    kind: str,
    region: Region,
    after: Array,
    ids: Sequence[int],
    tool: str,
    class_name: str = "",
) -> Edit:
    """Replace the nuclei of a region.

    Each nucleus stays one connected object; parts that are cut off get new ids.

    Args:
        slide: The slide.
        kind: Kind of the edit.
        region: Region in px of the nuclei.
        after: Wanted labels (height, width).
        ids: Nuclei that are edited.
        tool: Tool used.
        class_name: Class given to the nuclei; empty for none.

    Raises:
        ConfigError: Nothing would change.
    """
    before = slide.labels(region)
    differ = before != after
    if not differ.any():
        raise ConfigError(f"{kind} changed no pixel; nothing was saved.")
    changed = np.union1d(before[differ], after[differ])
    window = _window(slide, [int(identity) for identity in changed if identity], region)
    before = slide.labels(window)
    wanted = before.copy()
    wanted[region.relative_to(window).slices] = after
    next_id = 1 + max(slide.highest_id, int(wanted.max()))
    wanted = label_ops.keep_connected(wanted, map(int, changed), next_id)
    diff = diff_between("nuclei", window, before, wanted)
    if diff is None:
        raise ConfigError(f"{kind} left only slivers, which are dropped; nothing was saved.")
    return Edit(kind=kind, tool=tool, ids=tuple(ids), diff=diff, value=class_name)


def set_tissue(slide: ReviewedSlide, points: Sequence[Point], class_name: str, tool: str) -> Edit:
    """Set the tissue class inside a polygon."""
    window, inside = label_ops.polygon_in(_in_cells(slide, points), slide.tissue_labels.shape)
    return _set_class(slide, window, inside, class_name, tool)


def brush_tissue(
    slide: ReviewedSlide, points: Sequence[Point], radius_px: float, class_name: str, tool: str
) -> Edit:
    """Set the tissue class along a line."""
    radius = radius_px / slide.published.class_downsample
    window, inside = label_ops.stroke_in(_in_cells(slide, points), radius, slide.tissue_labels.shape)
    return _set_class(slide, window, inside, class_name, tool)


def replace_tissue(slide: ReviewedSlide, region: Region, after: Array, class_name: str, tool: str) -> Edit:
    """Replace class values.

    Args:
        slide: The slide.
        region: Region in px of the class map.
        after: Wanted values (height, width).
        class_name: Name of the class.
        tool: Tool used.

    Raises:
        ConfigError: Nothing would change.
    """
    diff = diff_between("tissue_class", region, slide.tissue(region), after)
    if diff is None:
        raise ConfigError("The tissue there has that class already; nothing was changed.")
    return Edit(kind="tissue", tool=tool, diff=diff, value=class_name)


def _set_class(slide: ReviewedSlide, window: Region, inside: Array, class_name: str, tool: str) -> Edit:
    values = {item.name: item.value for item in slide.published.classes}
    if class_name not in values:
        raise ConfigError(f"The model has no tissue class {class_name!r}; choose one of {', '.join(values)}.")
    after = np.where(inside, np.uint8(values[class_name]), slide.tissue(window))
    return replace_tissue(slide, window, after, class_name, tool)


def _in_cells(slide: ReviewedSlide, points: Sequence[Point]) -> list[Point]:
    factor = slide.published.class_downsample
    return [(y / factor, x / factor) for y, x in points]


def _present(slide: ReviewedSlide, ids: Sequence[int]) -> tuple[int, ...]:
    """Return sorted ids after checking that the nuclei exist."""
    gone = [identity for identity in ids if slide.area_px(identity) <= 0]
    if gone or not ids:
        raise ConfigError(
            f"{slide.published.slide_id} has no nucleus {', '.join(map(str, gone)) or '(none was named)'} "
            "now; it may have been rejected or merged. Undo that, or choose another."
        )
    return tuple(sorted(set(map(int, ids))))


def _window(slide: ReviewedSlide, ids: Sequence[int], *regions: Region) -> Region:
    """Return the region that contains nuclei and further regions."""
    window = slide.window(ids, *regions)
    if window.area_px > MAX_EDIT_PX:
        raise ConfigError(
            f"One edit would change {window.height} x {window.width} px, the limit is {MAX_EDIT_PX}; the "
            "nuclei are far apart. Use several edits."
        )
    return window
