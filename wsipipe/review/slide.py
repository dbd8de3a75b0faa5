"""One slide under review: its labels as they stand, verdicts, queues, and the journal that acts go to."""

import getpass
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from wsipipe.errors import ConfigError, StorageError
from wsipipe.geometry import Array, Region, hull
from wsipipe.review.journal.edit import Act, Entry
from wsipipe.review.journal.history import State, Verdict
from wsipipe.review.journal.journal import SUFFIX, Header, Journal, check_belongs, read_journal
from wsipipe.review.journal.overlay import Reviewed
from wsipipe.review.published import Source, open_source
from wsipipe.review.queue import Item, make_queue
from wsipipe.store.encoding import NOT_COMPUTED


class Look:
    """One reviewer's view of one slide; :class:`wsipipe.review.session.Session` adds what a person does.

    Places and regions are (y, x) in px of the nuclei's level 0, continuous px i covering [i, i + 1].

    Attributes:
        source: The slide.
        user: The reviewer.
        folder: Where the reviewer's derived labels and exports go.
        began: When the journal was begun; tells one journal from a later one of the same name.
        state: What stands now.
    """

    def __init__(
        self, source: Source, user: str, reviews: Path, journal: Journal | None, began: str = ""
    ) -> None:
        self.source, self.user, self.folder = source, user, reviews / user
        self.began = journal.header.began if journal else began
        self.state = State()
        self._journal = journal
        self._lock = threading.RLock()
        self._changed: tuple[list[Region], Array] | None = None
        labels = source.result.labels
        self._nuclei = Reviewed(labels["nuclei"][0]) if "nuclei" in labels else None
        self._tissue = Reviewed(labels["tissue_class"][0], NOT_COMPUTED) if "tissue_class" in labels else None

    @classmethod
    def open(
        cls,
        path: str | Path,
        user: str | None = None,
        reviews: str | Path | None = None,
        read_only: bool = False,
    ) -> Self:
        """Opens a slide for review, as it was left.

        Args:
            path: ``OUT/SLIDE`` or its ``slide.zarr``.
            user: Name of the reviewer and of the journal; default the login name.
            reviews: Another folder for journals than ``OUT/SLIDE/reviews``, for read-only disks.
            read_only: Write nothing; there has to be a journal.

        Raises:
            StorageError: No result, another slide's or plan's journal, or it cannot be written.
            LockedError: The same reviewer has it open elsewhere.
        """
        source = open_source(path)
        name = checked_name(user or getpass.getuser())
        folder = reviews_folder(source, reviews)
        header = Header(source.slide_id, source.plan, name, source.shape)
        place = folder / f"{name}{SUFFIX}"
        if read_only or not source.plan:
            if not source.plan and not place.is_file():
                return cls(source, name, folder, None)
            contents = read_journal(place)
            check_belongs(contents.header, header, place)
            session = cls(source, name, folder, None, contents.header.began)
            session._take_all(contents.entries)
            return session
        journal = Journal.open(place, header)
        session = cls(source, name, folder, journal)
        session._take_all(journal.entries)
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the journal; everything is on disk already."""
        if self._journal:
            self._journal.close()
            self._journal = None

    @property
    def writable(self) -> bool:
        """Whether acts are possible."""
        return self._journal is not None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the nuclei."""
        return self.source.shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes that a nucleus or a region can have: those of the model, and those given by hand."""
        names = [item.name for item in self.source.classes] or [
            n for n in self.source.nuclei.class_names if n
        ]
        given = [entry.act.value for entry in self.state.done if entry.act.kind in ("relabel", "draw")]
        return tuple(dict.fromkeys([*names, *(name for name in given if name)]))

    def labels(self, region: Region) -> Array:
        """Nuclei (height, width) uint32 of a region, as reviewed."""
        return self.nuclei_labels.read(region)

    def tissue(self, region: Region | None = None) -> Array:
        """Class map (height, width) uint8, as reviewed; ``region`` in its own px, None for the whole."""
        return self.tissue_labels.read(region or Region(0, 0, *self.tissue_labels.shape))

    @property
    def nuclei_labels(self) -> Reviewed:
        """The nuclei.

        Raises:
            ConfigError: The workflow had none.
        """
        if self._nuclei is None:
            raise ConfigError(
                f"{self.source.folder} has no nuclei; run a workflow with segment and instances."
            )
        return self._nuclei

    @property
    def tissue_labels(self) -> Reviewed:
        """The class map.

        Raises:
            ConfigError: The workflow had none.
        """
        if self._tissue is None:
            raise ConfigError(f"{self.source.folder} has no tissue classes; run a workflow with classify.")
        return self._tissue

    @property
    def has_nuclei(self) -> bool:
        """Whether there are nuclei."""
        return self._nuclei is not None

    @property
    def has_tissue(self) -> bool:
        """Whether there is a class map."""
        return self._tissue is not None

    def box(self, identity: int) -> Region:
        """A region that holds a nucleus whole.

        Raises:
            ConfigError: There never was such a nucleus.
        """
        changes = [entry.act.change for entry in self.state.entries_of(identity)]
        boxes = [change.box for change in changes if change and identity in change.areas]
        row = self.source.nuclei.row(identity)
        boxes += [self.source.nuclei.box(row)] if row is not None else []
        if not boxes:
            raise ConfigError(
                f"{self.source.slide_id} has no nucleus {identity}; ids are 1 to {self.next_id - 1}."
            )
        return hull(boxes)

    def area_px(self, identity: int) -> int:
        """Area of a nucleus now; 0 if it is gone."""
        row = self.source.nuclei.row(identity)
        published = 0 if row is None else int(self.source.nuclei.area_px[row])
        return published + self.state.grown_px(identity)

    def verdict(self, identity: int) -> Verdict | None:
        """What became of a nucleus, None where nobody acted on it."""
        return self.state.verdict(identity, self.area_px(identity))

    def class_of(self, identity: int) -> str:
        """Class given by a person, else the published one; that of its tissue if either is new."""
        verdict = self.verdict(identity)
        if verdict and verdict.class_name:
            return verdict.class_name
        row = self.source.nuclei.row(identity)
        nuclei = self.source.nuclei
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
        """Places in px of the nuclei -> (row, column) of the class map; those outside count to its edge."""
        rows, columns = self.tissue_labels.shape
        factor = self.source.class_downsample
        return (
            np.clip(np.floor_divide(y, factor), 0, rows - 1).astype(int),
            np.clip(np.floor_divide(x, factor), 0, columns - 1).astype(int),
        )

    @property
    def changed_tissue(self) -> Array | None:
        """Where the class map is not as published (h, w) bool; None where it is nowhere."""
        if not self.has_tissue or not (boxes := self.tissue_labels.boxes()):
            return None
        if self._changed is None or self._changed[0] != boxes:
            published = np.asarray(self.tissue_labels.published[...])
            self._changed = (boxes, self.tissue() != published)
        return self._changed[1]

    def _is_reshaped(self, identity: int) -> bool:
        changes = [entry.act.change for entry in self.state.entries_of(identity)]
        return any(change and identity in change.areas for change in changes)

    def _tissue_class_at(self, y: float, x: float) -> str:
        """Class of the tissue at a place, empty where none was computed."""
        if not self.has_tissue:
            return ""
        row, column = self.cells(np.array(y), np.array(x))
        value = int(self.tissue(Region(int(row), int(column), 1, 1))[0, 0])
        return next((item.name for item in self.source.classes if item.value == value), "")

    def nucleus_at(self, y: float, x: float) -> int:
        """Id at a place, 0 for background."""
        return int(self.labels(Region(int(np.floor(y)), int(np.floor(x)), 1, 1))[0, 0])

    def queue(self, kind: str = "uncertain", count: int = 50, seed: int = 0) -> list[Item]:
        """Things to look at, the most doubtful first; see :func:`wsipipe.review.queue.make_queue`."""
        return make_queue(self.source, kind, count, seed)

    def undo(self) -> Entry | None:
        """Takes back the last act, of this or an earlier session; returns it, None if there is none."""
        with self._lock:
            if not self.state.done:
                return None
            last = self.state.done[-1]
            self.record(Act(kind="undo", tool="undo", of=last.number))
            return last

    def redo(self) -> Entry | None:
        """Does again what was undone last; returns it, None if there is none."""
        with self._lock:
            if not self.state.undone:
                return None
            last = self.state.undone[-1]
            self.record(Act(kind="redo", tool="redo", of=last.number))
            return last

    @property
    def next_id(self) -> int:
        """The first id that no nucleus ever had."""
        return 1 + max(self.source.nuclei.highest_id, self.state.highest_id)

    def record(self, act: Act) -> Entry:
        """Writes an act to the journal and takes it up; the way of every act.

        Raises:
            StorageError: The slide is open for looking only, or the disk refused.
        """
        if self._journal is None:
            raise StorageError(
                f"{self.source.folder} is open for looking only; nothing was recorded. Open a finished "
                f"result "
                f"without read_only to correct it."
            )
        with self._lock:
            entry = self._journal.append(act)
            self._take(entry)
            return entry

    def _take_all(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        moved = self.state.take(entry)
        change = (moved or entry).act.change
        if change is None:
            return
        layer = self.nuclei_labels if change.array == "nuclei" else self.tissue_labels
        if entry.act.kind == "undo":
            layer.pop()
        else:
            layer.push(change)


def reviews_folder(source: Source, reviews: str | Path | None) -> Path:
    """Where a slide's journals are."""
    return source.folder / "reviews" if reviews is None else Path(reviews) / source.slide_id


def checked_name(user: str) -> str:
    """A reviewer's name as a file name.

    Raises:
        ConfigError: It holds other signs than letters, digits, point, dash and underscore.
    """
    if not user or user.startswith(".") or not all(sign.isalnum() or sign in "._-" for sign in user):
        raise ConfigError(
            f"A reviewer was called {user!r}; use letters, digits, point, dash and underscore, for example "
            f"ann.b."
        )
    return user
