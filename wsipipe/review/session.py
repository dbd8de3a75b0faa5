"""Edit the labels of one slide durably."""

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Concatenate, Self

import numpy as np

from wsipipe.errors import ConfigError, StorageError
from wsipipe.geometry import Array, Region, hull
from wsipipe.review import build_edit
from wsipipe.review.journal.edit import Edit, JournalEntry
from wsipipe.review.journal.journal import Journal
from wsipipe.review.journals import journal_of
from wsipipe.review.label_ops import Point
from wsipipe.review.published import PublishedSlide, open_published
from wsipipe.review.slide import ReviewedSlide


class Session(ReviewedSlide):
    """One slide under review by one reviewer; create it with ``open``.

    It is a context manager. Places and regions are as for :class:`wsipipe.review.slide.ReviewedSlide`.

    Args:
        journal: The journal open for writing; None for a read-only session.
    """

    def __init__(
        self,
        published: PublishedSlide,
        path: Path,
        began: str = "",
        entries: Iterable[JournalEntry] = (),
        journal: Journal | None = None,
    ) -> None:
        super().__init__(published, path, began, entries)
        self._journal = journal
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls,
        path: str | Path,
        user: str | None = None,
        reviews: str | Path | None = None,
        read_only: bool = False,
    ) -> Self:
        """Open a slide for review, as the reviewer left it.

        Args:
            path: ``OUT/SLIDE`` or its ``slide.zarr``.
            user: Name of the reviewer and of the journal; the login name by default.
            reviews: Folder of journals, if not ``OUT/SLIDE/reviews``, for example for a read-only disk.
            read_only: Write nothing; the journal must exist.

        Raises:
            StorageError: There is no result, the journal belongs to another slide or plan, or it cannot be
                written.
            LockedError: The same reviewer has it open elsewhere.
        """
        published = open_published(path)
        if read_only or not published.plan:
            return cls._read(published, user, reviews)
        place, header = journal_of(published, user, reviews)
        journal = Journal.open(place, header)
        return cls(published, place, journal.header.began, journal.entries, journal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal; all edits are on the disk already."""
        if self._journal:
            self._journal.close()
            self._journal = None

    @property
    def writable(self) -> bool:
        """Whether edits are possible."""
        return self._journal is not None

    @property
    def next_id(self) -> int:
        """First id that no nucleus ever had."""
        return self.highest_id + 1

    def record(self, edit: Edit) -> JournalEntry:
        """Write an edit to the journal and apply it.

        Raises:
            StorageError: The slide is open read-only, or the disk refused.
        """
        if self._journal is None:
            raise StorageError(
                f"{self.published.folder} is open read-only; the edit was not saved. Open a finished result "
                "without read_only to edit it."
            )
        with self._lock:
            entry = self._journal.append(edit)
            self.history.apply(entry)
            return entry

    def undo(self) -> JournalEntry | None:
        """Undo the last edit, also of an earlier session.

        Returns:
            The undone entry; None if there is none.
        """
        return self._repeal("undo", self.history.done)

    def redo(self) -> JournalEntry | None:
        """Redo the edit that was undone last.

        Returns:
            The redone entry; None if there is none.
        """
        return self._repeal("redo", self.history.undone)

    def accept(self, ids: Sequence[int], tool: str = "api") -> JournalEntry:
        """Accept nuclei as they are."""
        return self._edit(build_edit.judge, "accept", ids, "", tool)

    def reject(self, ids: Sequence[int], tool: str = "api") -> JournalEntry:
        """Reject objects that are no nuclei; they become background."""
        return self._edit(build_edit.remove, "reject", ids, tool)

    def delete(self, ids: Sequence[int], tool: str = "api") -> JournalEntry:
        """Delete nuclei without a judgement, for example one's own drawing."""
        return self._edit(build_edit.remove, "delete", ids, tool)

    def relabel(self, ids: Sequence[int], class_name: str, tool: str = "api") -> JournalEntry:
        """Give nuclei a class, also a new one."""
        if not class_name:
            raise ConfigError("The nuclei were not relabelled: the class has no name. Give one.")
        return self._edit(build_edit.judge, "relabel", ids, class_name, tool)

    def split(self, identity: int, line: Sequence[Point] | None = None, tool: str = "api") -> JournalEntry:
        """Split a nucleus along a line, or across its longest axis.

        The largest part keeps the id.
        """
        return self._edit(build_edit.split, identity, line, tool)

    def merge(self, ids: Sequence[int], tool: str = "api") -> JournalEntry:
        """Merge touching nuclei into one, with the smallest id."""
        return self._edit(build_edit.merge, ids, tool)

    def draw(self, points: Sequence[Point], class_name: str = "", tool: str = "polygon") -> int:
        """Draw a nucleus in a polygon; return its id."""
        return self._edit(build_edit.draw, points, class_name, tool).edit.ids[0]

    def redraw(
        self, region: Region, after: Array, identity: int, class_name: str = "", tool: str = "api"
    ) -> JournalEntry:
        """Replace the labels of a region, with a new nucleus in them.

        ``after`` (height, width) holds it as ``identity``, which is ``next_id``. Without a class it gets that
        of its tissue.
        """
        return self._edit(build_edit.replace, "draw", region, after, (identity,), tool, class_name)

    def paint(
        self, identity: int, points: Sequence[Point], radius_px: float = 2, tool: str = "brush"
    ) -> JournalEntry:
        """Paint a nucleus along a line, also over its neighbours."""
        return self._edit(build_edit.paint, identity, points, radius_px, tool)

    def erase(self, points: Sequence[Point], radius_px: float = 2, tool: str = "brush") -> JournalEntry:
        """Erase nuclei along a line."""
        return self._edit(build_edit.paint, 0, points, radius_px, tool)

    def repaint(
        self, region: Region, after: Array, kind: str = "paint", ids: Sequence[int] = (), tool: str = "brush"
    ) -> JournalEntry:
        """Replace the labels of a region by ``after`` (height, width).

        Parts that are cut off get new ids.
        """
        return self._edit(build_edit.replace, kind, region, after, ids, tool)

    def set_tissue(self, points: Sequence[Point], class_name: str, tool: str = "polygon") -> JournalEntry:
        """Set the tissue class inside a polygon."""
        return self._edit(build_edit.set_tissue, points, class_name, tool)

    def brush_tissue(
        self, points: Sequence[Point], radius_px: float, class_name: str, tool: str = "brush"
    ) -> JournalEntry:
        """Set the tissue class along a line."""
        return self._edit(build_edit.brush_tissue, points, radius_px, class_name, tool)

    def retissue(self, region: Region, after: Array, value: str = "", tool: str = "brush") -> JournalEntry:
        """Replace the class values of a region by ``after`` (height, width).

        The region is in px of the class map; ``value`` is the name of the class.
        """
        return self._edit(build_edit.replace_tissue, region, after, value, tool)

    def comment(self, y: float, x: float, text: str, tool: str = "api") -> JournalEntry:
        """Add a note at a place."""
        place = Region(int(np.floor(y)), int(np.floor(x)), 1, 1)
        return self.record(Edit(kind="comment", tool=tool, value=text, region=place))

    def visit(self, region: Region) -> JournalEntry | None:
        """Record a visited field; None if it is inside an earlier one."""
        field = region.clipped(self.shape)
        if not field.area_px or any(hull([earlier, field]) == earlier for earlier in self.history.visited):
            return None
        return self.record(Edit(kind="visit", tool="view", region=field))

    def _edit[**Rest](
        self, build: Callable[Concatenate[ReviewedSlide, Rest], Edit], *args: Rest.args, **kwargs: Rest.kwargs
    ) -> JournalEntry:
        """Build an edit of the current labels and record it."""
        with self._lock:
            return self.record(build(self, *args, **kwargs))

    def _repeal(self, kind: str, entries: list[JournalEntry]) -> JournalEntry | None:
        with self._lock:
            last = entries[-1] if entries else None
            if last:
                self.record(Edit(kind=kind, tool=kind, of=last.number))
            return last
