"""Edits in force, decisions and visited fields."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wsipipe.errors import StorageError
from wsipipe.geometry import Region
from wsipipe.review.journal.edit import UNDOABLE, JournalEntry
from wsipipe.review.journal.overlay import LabelOverlay
from wsipipe.review.journal.pixel_diff import PixelDiff


@dataclass(frozen=True)
class Decision:
    """A reviewer's decision on one nucleus.

    Attributes:
        status: ``accepted``, ``rejected`` (also deleted, or merged into another) or ``changed``.
        class_name: Class given by a person; empty if none.
        user: Reviewer of the last edit.
        at: Time of the last edit.
    """

    status: str
    class_name: str
    user: str
    at: str


class EditHistory:
    """Edits in force, with undo and redo.

    Args:
        overlays: Labels by the name of their array; they follow the edits.
        entries: Entries of the journal so far.

    Attributes:
        done: Entries in force, oldest first; the last is undone next.
        undone: Entries that were undone; the last is redone next.
        visited: Visited fields, in px of the nuclei.
        entry_count: Number of entries of the journal so far.
        highest_id: Highest id that ever occurred, undone edits included.
    """

    def __init__(self, overlays: Mapping[str, LabelOverlay], entries: Iterable[JournalEntry] = ()) -> None:
        self._overlays = overlays
        self.done: list[JournalEntry] = []
        self.undone: list[JournalEntry] = []
        self.visited: list[Region] = []
        self.entry_count = 0
        self.highest_id = 0
        self._by_nucleus: dict[int, list[JournalEntry]] = {}
        self._px_gained: dict[int, int] = {}
        for entry in entries:
            self.apply(entry)

    def apply(self, entry: JournalEntry) -> None:
        """Apply the next entry of the journal.

        Raises:
            StorageError: It undoes or redoes an entry that is not next, or changes labels that the slide
                lacks.
        """
        self.entry_count += 1
        edit = entry.edit
        if edit.kind == "undo":
            self._undo(entry)
            return
        if edit.kind == "redo":
            self._redo(entry)
            return
        self.highest_id = max(self.highest_id, *entry.touched, 0)
        if edit.kind == "visit" and edit.region:
            self.visited.append(edit.region)
        if edit.kind in UNDOABLE:
            self.undone.clear()
            self._do(entry)

    @property
    def touched(self) -> set[int]:
        """Ids of all nuclei that were edited or changed."""
        return {identity for identity, entries in self._by_nucleus.items() if entries}

    def grown_px(self, identity: int) -> int:
        """Return the px gained since publishing, negative for losses."""
        return self._px_gained.get(identity, 0)

    def entries_of(self, identity: int) -> list[JournalEntry]:
        """Return the entries in force on a nucleus, oldest first."""
        return list(self._by_nucleus.get(identity, ()))

    def decision(self, identity: int, area_px: int) -> Decision | None:
        """Return the decision on a nucleus; None without edits.

        Args:
            identity: Id of the nucleus.
            area_px: Current area; 0 if the nucleus is gone.
        """
        entries = self._by_nucleus.get(identity)
        if not entries:
            return None
        status = "rejected" if area_px <= 0 else _status(entries)
        names = [entry.edit.value for entry in entries if _gives_class(entry, identity)]
        return Decision(status, names[-1] if names else "", entries[-1].user, entries[-1].at)

    @property
    def comments(self) -> list[tuple[Region, str, str]]:
        """Place, text and user of every comment in force."""
        return [
            (entry.edit.region, entry.edit.value, entry.user)
            for entry in self.done
            if entry.edit.kind == "comment" and entry.edit.region
        ]

    def _undo(self, entry: JournalEntry) -> None:
        if not self.done or self.done[-1].number != entry.edit.of:
            raise _out_of_turn(entry)
        last = self.done.pop()
        self.undone.append(last)
        for identity in last.touched:
            self._by_nucleus[identity].pop()
        if last.edit.diff:
            self._overlay(last.edit.diff).pop()
            self._count_px(last.edit.diff, -1)

    def _redo(self, entry: JournalEntry) -> None:
        if not self.undone or self.undone[-1].number != entry.edit.of:
            raise _out_of_turn(entry)
        self._do(self.undone.pop())

    def _do(self, entry: JournalEntry) -> None:
        self.done.append(entry)
        for identity in entry.touched:
            self._by_nucleus.setdefault(identity, []).append(entry)
        if entry.edit.diff:
            self._overlay(entry.edit.diff).push(entry.edit.diff)
            self._count_px(entry.edit.diff, 1)

    def _overlay(self, diff: PixelDiff) -> LabelOverlay:
        if diff.array not in self._overlays:
            raise StorageError(
                f"A journal could not be applied: it changes the labels {diff.array!r}, which the slide does "
                "not have. Use the journal with the result that it was written for."
            )
        return self._overlays[diff.array]

    def _count_px(self, diff: PixelDiff, sign: int) -> None:
        if diff.array == "nuclei":
            for identity, px in diff.px_gained.items():
                self._px_gained[identity] = self._px_gained.get(identity, 0) + sign * px


def _status(entries: list[JournalEntry]) -> str:
    """Return ``changed`` after any edit other than accepting."""
    return "accepted" if all(entry.edit.kind == "accept" for entry in entries) else "changed"


def _gives_class(entry: JournalEntry, identity: int) -> bool:
    edit = entry.edit
    return edit.kind in ("relabel", "draw") and identity in edit.ids and bool(edit.value)


def _out_of_turn(entry: JournalEntry) -> StorageError:
    return StorageError(
        f"A journal could not be applied: entry {entry.number} would {entry.edit.kind} entry "
        f"{entry.edit.of}, which is not next. The journal was not written by wsipipe."
    )
