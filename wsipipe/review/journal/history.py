"""Entries of a journal, one after the other -> what stands now: acts in force, verdicts, places seen."""

from dataclasses import dataclass, field

from wsipipe.errors import StorageError
from wsipipe.geometry import Region
from wsipipe.review.journal.edit import UNDOABLE, Entry


@dataclass(frozen=True)
class Verdict:
    """What became of one nucleus.

    Attributes:
        status: ``accepted``, ``rejected`` (also deleted, or merged into another) or ``changed``.
        class_name: The class that a person gave it, empty if none.
        user: Who acted on it last.
        at: When.
    """

    status: str
    class_name: str
    user: str
    at: str


@dataclass
class State:
    """The acts in force.

    Attributes:
        done: Entries that stand, oldest first; the last is undone next.
        undone: Entries that were undone, the last is redone next.
        visited: Fields that were looked at, in px of the nuclei.
        taken: Entries of the journal so far.
    """

    done: list[Entry] = field(default_factory=list)
    undone: list[Entry] = field(default_factory=list)
    visited: list[Region] = field(default_factory=list)
    taken: int = 0
    _of: dict[int, list[Entry]] = field(default_factory=dict)
    _grown: dict[int, int] = field(default_factory=dict)
    _highest: int = 0

    def take(self, entry: Entry) -> Entry | None:
        """Takes the journal's next entry; returns the entry that undo took off or redo put back.

        Raises:
            StorageError: It undoes or redoes what is not next.
        """
        self.taken += 1
        kind = entry.act.kind
        if kind == "undo":
            return self._undo(entry)
        if kind == "redo":
            return self._redo(entry)
        self._highest = max(self._highest, *entry.touched, 0)
        if kind == "visit" and entry.act.region:
            self.visited.append(entry.act.region)
        if kind in UNDOABLE:
            self.undone.clear()
            self._put(entry)
        return None

    @property
    def highest_id(self) -> int:
        """The highest id that ever occurred, undone acts included; new ids lie above it."""
        return self._highest

    @property
    def touched(self) -> set[int]:
        """Ids of all nuclei that acts in force mean or change."""
        return {identity for identity, entries in self._of.items() if entries}

    def grown_px(self, identity: int) -> int:
        """Px that a nucleus gained since publishing; below 0 for a loss."""
        return self._grown.get(identity, 0)

    def entries_of(self, identity: int) -> list[Entry]:
        """The acts in force on a nucleus, oldest first."""
        return list(self._of.get(identity, ()))

    def verdict(self, identity: int, area_px: int) -> Verdict | None:
        """What became of a nucleus, None where no act is on it.

        Args:
            identity: Its id.
            area_px: Its area now; 0 if it is gone.
        """
        entries = self._of.get(identity)
        if not entries:
            return None
        status = "rejected" if area_px <= 0 else _status(identity, entries)
        names = [entry.act.value for entry in entries if _names(identity, entry)]
        return Verdict(status, names[-1] if names else "", entries[-1].user, entries[-1].at)

    @property
    def comments(self) -> list[tuple[Region, str, str]]:
        """(place, text, user) of every comment in force."""
        return [
            (entry.act.region, entry.act.value, entry.user)
            for entry in self.done
            if entry.act.kind == "comment" and entry.act.region
        ]

    def _undo(self, entry: Entry) -> Entry:
        if not self.done or self.done[-1].number != entry.act.of:
            raise _out_of_turn(entry)
        last = self.done.pop()
        self.undone.append(last)
        for identity in last.touched:
            self._of[identity].pop()
        self._grow(last, -1)
        return last

    def _redo(self, entry: Entry) -> Entry:
        if not self.undone or self.undone[-1].number != entry.act.of:
            raise _out_of_turn(entry)
        back = self.undone.pop()
        self._put(back)
        return back

    def _put(self, entry: Entry) -> None:
        self.done.append(entry)
        for identity in entry.touched:
            self._of.setdefault(identity, []).append(entry)
        self._grow(entry, 1)

    def _grow(self, entry: Entry, sign: int) -> None:
        change = entry.act.change
        if change and change.array == "nuclei":
            for identity, px in change.areas.items():
                self._grown[identity] = self._grown.get(identity, 0) + sign * px


def _status(identity: int, entries: list[Entry]) -> str:
    """Changed once any act but accepting touched it."""
    return "accepted" if all(entry.act.kind == "accept" for entry in entries) else "changed"


def _names(identity: int, entry: Entry) -> bool:
    return entry.act.kind in ("relabel", "draw") and identity in entry.act.ids and bool(entry.act.value)


def _out_of_turn(entry: Entry) -> StorageError:
    return StorageError(
        f"Entry {entry.number} of a journal would {entry.act.kind} entry {entry.act.of}, which is not next; "
        f"the "
        f"journal was not written by wsipipe."
    )
