"""Review of one slide without a window: every act that a person can do, durable when it returns."""

from collections.abc import Sequence

import numpy as np

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region, hull
from wsipipe.review import label_ops
from wsipipe.review.journal.edit import Act, Entry
from wsipipe.review.journal.pixel_diff import change_between
from wsipipe.review.label_ops import Point
from wsipipe.review.slide import Look

MOST_PX = 1 << 26
"""Largest window of one act."""


class Session(Look):
    """One reviewer at one slide. Use ``open``; a context manager closes it.

    Places and regions are (y, x) in px of the nuclei's level 0, continuous px i covering [i, i + 1].
    """

    def accept(self, ids: Sequence[int], tool: str = "api") -> Entry:
        """The nuclei are right as they are."""
        return self.record(Act(kind="accept", tool=tool, ids=self._there(ids)))

    def reject(self, ids: Sequence[int], tool: str = "api") -> Entry:
        """These are no nuclei; they become background."""
        return self._remove("reject", ids, tool)

    def delete(self, ids: Sequence[int], tool: str = "api") -> Entry:
        """Takes nuclei away without a judgement, for example one's own drawing."""
        return self._remove("delete", ids, tool)

    def relabel(self, ids: Sequence[int], class_name: str, tool: str = "api") -> Entry:
        """Gives nuclei a class, one of the model's or a new one."""
        if not class_name:
            raise ConfigError("A nucleus was to get a class without a name; name one.")
        return self.record(Act(kind="relabel", tool=tool, ids=self._there(ids), value=class_name))

    def split(self, identity: int, line: Sequence[Point] | None = None, tool: str = "api") -> Entry:
        """Cuts a nucleus along a line, or across its longest axis; the largest part keeps the id."""
        (identity,) = self._there([identity])
        window = self.box(identity)
        own = [(y - window.y, x - window.x) for y, x in line] if line else None
        after = label_ops.split(self.labels(window), identity, self.next_id, own)
        return self._pixels("split", window, after, (identity,), tool)

    def merge(self, ids: Sequence[int], tool: str = "api") -> Entry:
        """Makes touching nuclei one, with the smallest id."""
        ids = self._there(ids)
        window = _together([self.box(identity) for identity in ids])
        return self._pixels("merge", window, label_ops.merge(self.labels(window), ids), tuple(ids), tool)

    def draw(self, points: Sequence[Point], class_name: str = "", tool: str = "polygon") -> int:
        """A new nucleus inside a polygon, where no other is; returns its id.

        Raises:
            ConfigError: There is no free pixel in it.
        """
        window = label_ops.around(points).clipped(self.shape)
        inside = label_ops.polygon(window, label_ops.outline_of(points))
        identity = self.next_id
        self.redraw(
            window, label_ops.filled(self.labels(window), inside, identity), identity, class_name, tool
        )
        return identity

    def redraw(
        self, region: Region, after: Array, identity: int, class_name: str = "", tool: str = "api"
    ) -> Entry:
        """As :meth:`repaint`, for a new nucleus: ``after`` holds it as ``identity``, which is ``next_id``."""
        return self._pixels("draw", region, after, (identity,), tool, class_name)

    def paint(
        self, identity: int, points: Sequence[Point], radius_px: float = 2, tool: str = "brush"
    ) -> Entry:
        """Brushes a nucleus along a line, over its neighbours if need be."""
        window = label_ops.around(points, radius_px + 1).clipped(self.shape)
        own = [(y - window.y, x - window.x) for y, x in points]
        brush = label_ops.stroke(window.shape, own, radius_px)
        after = label_ops.filled(self.labels(window), brush, identity, over=True)
        return self.repaint(window, after, "paint", (identity,), tool)

    def erase(self, points: Sequence[Point], radius_px: float = 2, tool: str = "brush") -> Entry:
        """Brushes background along a line."""
        window = label_ops.around(points, radius_px + 1).clipped(self.shape)
        own = [(y - window.y, x - window.x) for y, x in points]
        after = self.labels(window).copy()
        after[label_ops.stroke(window.shape, own, radius_px)] = 0
        return self.repaint(window, after, "erase", (), tool)

    def repaint(
        self, region: Region, after: Array, kind: str = "paint", ids: Sequence[int] = (), tool: str = "brush"
    ) -> Entry:
        """Labels of a region become ``after`` (height, width); what comes apart gets new ids."""
        return self._pixels(kind, region, after, tuple(ids), tool)

    def set_tissue(self, points: Sequence[Point], class_name: str, tool: str = "polygon") -> Entry:
        """The tissue inside a polygon is of a class."""
        cells = [(y / self.source.class_downsample, x / self.source.class_downsample) for y, x in points]
        window = label_ops.around(cells).clipped(self.tissue_labels.shape)
        return self._tissue_where(
            window, label_ops.polygon(window, label_ops.outline_of(cells)), class_name, tool
        )

    def brush_tissue(
        self, points: Sequence[Point], radius_px: float, class_name: str, tool: str = "brush"
    ) -> Entry:
        """The tissue along a line is of a class."""
        factor = self.source.class_downsample
        window = label_ops.around([(y / factor, x / factor) for y, x in points], radius_px / factor + 1)
        window = window.clipped(self.tissue_labels.shape)
        own = [(y / factor - window.y, x / factor - window.x) for y, x in points]
        return self._tissue_where(
            window, label_ops.stroke(window.shape, own, radius_px / factor), class_name, tool
        )

    def retissue(self, region: Region, after: Array, value: str = "", tool: str = "brush") -> Entry:
        """Class values of a region of the class map become ``after`` (height, width)."""
        change = change_between("tissue_class", region, self.tissue(region), after)
        if change is None:
            raise ConfigError("The tissue there has that class already; nothing was changed.")
        return self.record(Act(kind="tissue", tool=tool, change=change, value=value))

    def comment(self, y: float, x: float, text: str, tool: str = "api") -> Entry:
        """A note at a place."""
        place = Region(int(np.floor(y)), int(np.floor(x)), 1, 1)
        return self.record(Act(kind="comment", tool=tool, value=text, region=place))

    def visit(self, region: Region) -> Entry | None:
        """A field was looked at; None if it lies in one that was."""
        field = region.clipped(self.shape)
        if not field.area_px or any(_holds(seen, field) for seen in self.state.visited):
            return None
        return self.record(Act(kind="visit", tool="view", region=field))

    def _there(self, ids: Sequence[int]) -> tuple[int, ...]:
        gone = [identity for identity in ids if self.area_px(identity) <= 0]
        if gone or not ids:
            raise ConfigError(
                f"{self.source.slide_id} has no nucleus {', '.join(map(str, gone)) or '(none was named)'} "
                f"now; it "
                f"may have been rejected or merged. Undo that, or choose another."
            )
        return tuple(sorted(set(map(int, ids))))

    def _remove(self, kind: str, ids: Sequence[int], tool: str) -> Entry:
        there = self._there(ids)
        window = _together([self.box(identity) for identity in there])
        after = self.labels(window).copy()
        after[np.isin(after, there)] = 0
        return self._pixels(kind, window, after, there, tool)

    def _pixels(
        self, kind: str, region: Region, after: Array, ids: tuple[int, ...], tool: str, value: str = ""
    ) -> Entry:
        """Records what ``after`` changes in ``region``, nuclei kept in one piece."""
        with self._lock:
            before = self.labels(region)
            differ = before != after
            if not differ.any():
                raise ConfigError(f"{kind} changed no pixel; nothing was recorded.")
            ids_there = np.union1d(before[differ], after[differ])
            known = [int(i) for i in ids_there if i and self.area_px(int(i)) > 0]
            window = _together([region, *(self.box(identity) for identity in known)])
            before = self.labels(window)
            wanted = before.copy()
            wanted[region.relative_to(window).slices] = after
            next_id = 1 + max(self.next_id - 1, int(wanted.max()))
            wanted = label_ops.whole(wanted, map(int, ids_there), next_id)
            change = change_between("nuclei", window, before, wanted)
            if change is None:
                raise ConfigError(f"{kind} left only slivers, which are dropped; nothing was recorded.")
            return self.record(Act(kind=kind, tool=tool, ids=ids, change=change, value=value))

    def _tissue_where(self, window: Region, inside: Array, class_name: str, tool: str) -> Entry:
        values = {item.name: item.value for item in self.source.classes}
        if class_name not in values:
            raise ConfigError(
                f"The model has no tissue class {class_name!r}; choose one of {', '.join(values)}."
            )
        after = np.where(inside, np.uint8(values[class_name]), self.tissue(window))
        return self.retissue(window, after, class_name, tool)


def _together(regions: Sequence[Region]) -> Region:
    window = hull(regions)
    if window.area_px > MOST_PX:
        raise ConfigError(
            f"One act was to change {window.height} x {window.width} px, the most is {MOST_PX}; these nuclei "
            f"lie far "
            f"apart: take them in several acts."
        )
    return window


def _holds(outer: Region, inner: Region) -> bool:
    return (
        outer.y <= inner.y
        and outer.x <= inner.x
        and outer.end_y >= inner.end_y
        and outer.end_x >= inner.end_x
    )
