"""What a reviewer can do, as plain data: one act, and the entry that records who did it and when."""

from dataclasses import dataclass, field
from typing import Any

from wsipipe.errors import StorageError
from wsipipe.geometry import Region
from wsipipe.review.journal.pixel_diff import Change, change_from

JUDGEMENTS = ("accept", "reject", "relabel")
EDITS = ("delete", "split", "merge", "draw", "paint", "erase", "tissue")
UNDOABLE = (*JUDGEMENTS, *EDITS, "comment")
KINDS = (*UNDOABLE, "visit", "undo", "redo")


@dataclass(frozen=True, kw_only=True)
class Act:
    """One act of a reviewer.

    Attributes:
        kind: One of :data:`KINDS`.
        tool: With what: ``button``, ``brush``, ``polygon``, ``import``, ...
        ids: Nuclei that were meant; others may have lost pixels to them.
        change: Pixels, where there are any.
        value: Class name of ``relabel``, ``draw`` and ``tissue``, text of ``comment``.
        region: Field that was looked at (``visit``), or the place of a comment, in px of the nuclei.
        of: Number of the entry that ``undo`` or ``redo`` means.
    """

    kind: str
    tool: str = "api"
    ids: tuple[int, ...] = ()
    change: Change | None = None
    value: str = ""
    region: Region | None = None
    of: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the journal; what is empty is left out."""
        stored: dict[str, Any] = {"act": self.kind, "tool": self.tool}
        stored |= {"ids": list(self.ids)} if self.ids else {}
        stored |= {"change": self.change.as_dict()} if self.change else {}
        stored |= {"value": self.value} if self.value else {}
        if self.region:
            stored["region"] = [self.region.y, self.region.x, self.region.height, self.region.width]
        return stored | ({"of": self.of} if self.of is not None else {})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An act in a journal.

    Attributes:
        number: From 1, without gaps.
        user: Who.
        at: When, ISO 8601 in UTC.
        act: What.
    """

    number: int
    user: str
    at: str
    act: Act
    touched: frozenset[int] = field(init=False)
    """Ids of all nuclei that are meant or that gained or lost pixels."""

    def __post_init__(self) -> None:
        change = self.act.change
        pixels = change.areas.keys() if change and change.array == "nuclei" else ()
        object.__setattr__(self, "touched", frozenset({*self.act.ids, *pixels} - {0}))


def act_from(stored: dict[str, Any]) -> Act:
    """The inverse of :meth:`Act.as_dict`.

    Raises:
        StorageError: The kind is unknown, as that of a newer wsipipe.
    """
    kind = stored.get("act")
    if kind not in KINDS:
        raise StorageError(
            f"A journal holds an act {kind!r}, this wsipipe knows {', '.join(KINDS)}; a newer wsipipe wrote "
            f"it: upgrade wsipipe."
        )
    return Act(
        kind=kind,
        tool=stored.get("tool", ""),
        ids=tuple(stored.get("ids", ())),
        change=change_from(stored["change"]) if "change" in stored else None,
        value=stored.get("value", ""),
        region=Region(*stored["region"]) if "region" in stored else None,
        of=stored.get("of"),
    )
