"""Read-only view of one slide with a reviewer's edits."""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import numpy as np

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region, hull
from wsipipe.review.journal.edit import JournalEntry
from wsipipe.review.journal.history import Decision, EditHistory
from wsipipe.review.journal.journal_file import check_belongs, read_journal
from wsipipe.review.journal.overlay import LabelOverlay
from wsipipe.review.journals import journal_of
from wsipipe.review.published import PublishedSlide, open_published
from wsipipe.review.queue import QueueItem, make_queue
from wsipipe.store.encoding import NOT_COMPUTED

OUTSIDE = {"nuclei": 0, "tissue_class": NOT_COMPUTED}
"""Labels that can be edited, and their value outside of the slide."""


class ReviewedSlide:
    """One slide with the edits of one reviewer, read-only.

    :class:`wsipipe.review.session.Session` adds editing. Places and regions are (y, x) in px of the nuclei's
    level 0, continuous px i covering [i, i + 1].

    Args:
        published: The slide as published.
        path: Journal of the reviewer.
        began: Time when the journal was created.
        entries: Entries of the journal.

    Attributes:
        published: The slide as published.
        user: The reviewer.
        folder: Folder of the reviewer's derived labels and exports.
        began: Time when the journal was created; distinguishes it from a later one of the same name.
        history: The edits in force.
    """

    def __init__(
        self, published: PublishedSlide, path: Path, began: str = "", entries: Iterable[JournalEntry] = ()
    ) -> None:
        self.published, self.began = published, began
        self.user, self.folder = path.stem, path.with_suffix("")
        labels = published.result.arrays.labels
        self._overlays = {
            name: LabelOverlay(labels[name][0], outside)
            for name, outside in OUTSIDE.items()
            if name in labels
        }
        self.history = EditHistory(self._overlays, entries)
        self._changed: tuple[list[Region], Array] | None = None

    @classmethod
    def open(cls, path: str | Path, user: str | None = None, reviews: str | Path | None = None) -> Self:
        """Open a slide as a reviewer left it.

        Args:
            path: ``OUT/SLIDE`` or its ``slide.zarr``.
            user: Name of the reviewer and of the journal; the login name by default.
            reviews: Folder of journals, if not ``OUT/SLIDE/reviews``.

        Raises:
            NoResultError: There is no result, or no journal.
            StorageError: The journal belongs to another slide or plan, or is damaged.
        """
        return cls._read(open_published(path), user, reviews)

    @classmethod
    def _read(cls, published: PublishedSlide, user: str | None, reviews: str | Path | None) -> Self:
        path, header = journal_of(published, user, reviews)
        if not published.plan and not path.is_file():
            return cls(published, path)
        contents = read_journal(path)
        check_belongs(contents.header, header, path)
        return cls(published, path, contents.header.began, contents.entries)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the nuclei."""
        return self.published.shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes of the model, and classes given by hand."""
        names = [*self.published.nucleus_types, *(item.name for item in self.published.classes)]
        names = names or [name for name in self.published.nuclei.class_names if name]
        given = [entry.edit.value for entry in self.history.done if entry.edit.kind in ("relabel", "draw")]
        return tuple(dict.fromkeys([*names, *(name for name in given if name)]))

    def labels(self, region: Region) -> Array:
        """Return the reviewed nuclei (height, width) uint32 of a region."""
        return self.nuclei_labels.read(region)

    def tissue(self, region: Region | None = None) -> Array:
        """Return the reviewed class map (height, width) uint8.

        Args:
            region: Region in px of the class map; all of it by default.
        """
        return self.tissue_labels.read(region or Region(0, 0, *self.tissue_labels.shape))

    @property
    def nuclei_labels(self) -> LabelOverlay:
        """The reviewed nuclei.

        Raises:
            ConfigError: The result has no nuclei.
        """
        if not self.has_nuclei:
            raise ConfigError(
                f"{self.published.folder} has no nuclei; run a workflow with segment and instances."
            )
        return self._overlays["nuclei"]

    @property
    def tissue_labels(self) -> LabelOverlay:
        """The reviewed class map.

        Raises:
            ConfigError: The result has no class map.
        """
        if not self.has_tissue:
            raise ConfigError(f"{self.published.folder} has no tissue classes; run a workflow with classify.")
        return self._overlays["tissue_class"]

    @property
    def has_nuclei(self) -> bool:
        """Whether there are nuclei."""
        return "nuclei" in self._overlays

    @property
    def has_tissue(self) -> bool:
        """Whether there is a class map."""
        return "tissue_class" in self._overlays

    @property
    def highest_id(self) -> int:
        """Highest id that a nucleus ever had."""
        return max(self.published.nuclei.highest_id, self.history.highest_id)

    def box(self, identity: int) -> Region:
        """Return a region that contains a whole nucleus.

        Raises:
            ConfigError: There never was such a nucleus.
        """
        diffs = [entry.edit.diff for entry in self.history.entries_of(identity)]
        boxes = [diff.box for diff in diffs if diff and identity in diff.px_gained]
        row = self.published.nuclei.row(identity)
        boxes += [self.published.nuclei.box(row)] if row is not None else []
        if not boxes:
            raise ConfigError(
                f"{self.published.slide_id} has no nucleus {identity}; ids are 1 to {self.highest_id}."
            )
        return hull(boxes)

    def window(self, ids: Iterable[int], *regions: Region) -> Region:
        """Return the region of existing nuclei and further regions."""
        return hull([*regions, *(self.box(identity) for identity in ids if self.area_px(identity) > 0)])

    def area_px(self, identity: int) -> int:
        """Return the current area; 0 if it is gone."""
        row = self.published.nuclei.row(identity)
        published_px = 0 if row is None else int(self.published.nuclei.area_px[row])
        return published_px + self.history.grown_px(identity)

    def decision(self, identity: int) -> Decision | None:
        """Return the decision on a nucleus; None without edits."""
        return self.history.decision(identity, self.area_px(identity))

    def class_of(self, identity: int) -> str:
        """Return the class of a nucleus.

        This is the class given by a person, else the published one, or that of the tissue if the nucleus or
        the tissue there was changed. Where nuclei have types, it is the published type, and none for nuclei
        drawn by hand: types do not follow the tissue.
        """
        decision = self.decision(identity)
        if decision and decision.class_name:
            return decision.class_name
        nuclei = self.published.nuclei
        row = nuclei.row(identity)
        if self.published.nucleus_types:
            return "" if row is None else nuclei.class_names[nuclei.class_index[row]]
        if self.area_px(identity) > 0 and (row is None or self._is_reshaped(identity)):
            y, x = np.argwhere(self.labels(box := self.box(identity)) == identity).mean(0) + 0.5
            return self._tissue_class_at(box.y + y, box.x + x)
        if row is None:
            return ""
        changed = self.changed_tissue
        if changed is not None and changed[self.cells(nuclei.y[row], nuclei.x[row])]:
            return self._tissue_class_at(nuclei.y[row], nuclei.x[row])
        return nuclei.class_names[nuclei.class_index[row]]

    def cells(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Return cells of the class map, (row, column).

        Places are in px of the nuclei; those outside of the class map get the nearest cell.
        """
        rows, columns = self.tissue_labels.shape
        factor = self.published.class_downsample
        return (
            np.clip(np.floor_divide(y, factor), 0, rows - 1).astype(int),
            np.clip(np.floor_divide(x, factor), 0, columns - 1).astype(int),
        )

    @property
    def changed_tissue(self) -> Array | None:
        """Mask (h, w) of changed tissue; None without changes."""
        if not self.has_tissue or not (boxes := self.tissue_labels.boxes()):
            return None
        if self._changed is None or self._changed[0] != boxes:
            published = np.asarray(self.tissue_labels.published[...])
            self._changed = (boxes, self.tissue() != published)
        return self._changed[1]

    def _is_reshaped(self, identity: int) -> bool:
        diffs = [entry.edit.diff for entry in self.history.entries_of(identity)]
        return any(diff and identity in diff.px_gained for diff in diffs)

    def _tissue_class_at(self, y: float, x: float) -> str:
        """Return the tissue class at a place; empty if not computed."""
        if not self.has_tissue:
            return ""
        row, column = self.cells(np.array(y), np.array(x))
        value = int(self.tissue(Region(int(row), int(column), 1, 1))[0, 0])
        return next((item.name for item in self.published.classes if item.value == value), "")

    def nucleus_at(self, y: float, x: float) -> int:
        """Return the id at a place; 0 for background."""
        return int(self.labels(Region(int(np.floor(y)), int(np.floor(x)), 1, 1))[0, 0])

    def queue(self, kind: str = "uncertain", count: int = 50, seed: int = 0) -> list[QueueItem]:
        """Return the items to review first; see :func:`wsipipe.review.queue.make_queue`."""
        return make_queue(self.published, kind, count, seed)
