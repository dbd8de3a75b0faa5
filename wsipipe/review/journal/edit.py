"""Edits of a reviewer, and the journal entries that record them."""

from dataclasses import dataclass, field
from typing import TypedDict

from wsipipe.errors import StorageError
from wsipipe.geometry import Region
from wsipipe.review.journal.pixel_diff import PixelDiff, StoredDiff, diff_from

JUDGEMENTS = ("accept", "reject", "relabel")
LABEL_EDITS = ("delete", "split", "merge", "draw", "paint", "erase", "tissue")
UNDOABLE = (*JUDGEMENTS, *LABEL_EDITS, "comment")
KINDS = (*UNDOABLE, "visit", "undo", "redo")


class StoredEdit(TypedDict, total=False):
    """An edit as JSON; empty parts are left out."""

    act: str
    tool: str
    ids: list[int]
    change: StoredDiff
    value: str
    region: list[int]
    of: int


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One edit of a reviewer.

    Attributes:
        kind: One of :data:`KINDS`.
        tool: Tool used: ``button``, ``brush``, ``polygon``, ``import``, ...
        ids: Nuclei that were edited; others may have lost pixels to them.
        diff: Changed pixels, if any.
        value: Class name of ``relabel``, ``draw`` and ``tissue``, text of ``comment``.
        region: Field of a ``visit``, or place of a comment, in px of the nuclei.
        of: Number of the entry that ``undo`` or ``redo`` refers to.
    """

    kind: str
    tool: str = "api"
    ids: tuple[int, ...] = ()
    diff: PixelDiff | None = None
    value: str = ""
    region: Region | None = None
    of: int | None = None

    def as_dict(self) -> StoredEdit:
        """Return the edit as stored in the journal."""
        stored = StoredEdit(act=self.kind, tool=self.tool)
        if self.ids:
            stored["ids"] = list(self.ids)
        if self.diff:
            stored["change"] = self.diff.as_dict()
        if self.value:
            stored["value"] = self.value
        if self.region:
            stored["region"] = [self.region.y, self.region.x, self.region.height, self.region.width]
        if self.of is not None:
            stored["of"] = self.of
        return stored


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """An edit in a journal.

    Attributes:
        number: Number of the entry, counted from 1 without gaps.
        user: Reviewer.
        at: Time, ISO 8601 in UTC.
        edit: The edit.
    """

    number: int
    user: str
    at: str
    edit: Edit
    touched: frozenset[int] = field(init=False)
    """Ids of all nuclei that were edited, or gained or lost pixels."""

    def __post_init__(self) -> None:
        diff = self.edit.diff
        pixels = diff.px_gained.keys() if diff and diff.array == "nuclei" else ()
        object.__setattr__(self, "touched", frozenset({*self.edit.ids, *pixels} - {0}))


def edit_from(stored: StoredEdit) -> Edit:
    """Return an edit from its stored form.

    The inverse of :meth:`Edit.as_dict`.

    Raises:
        StorageError: The kind is unknown, for example that of a newer wsipipe.
    """
    kind = stored.get("act")
    if kind not in KINDS:
        raise StorageError(
            f"A journal could not be read: it holds an edit {kind!r}, this wsipipe knows {', '.join(KINDS)}. "
            "A newer wsipipe wrote it; upgrade wsipipe."
        )
    return Edit(
        kind=kind,
        tool=stored.get("tool", ""),
        ids=tuple(stored.get("ids", ())),
        diff=diff_from(stored["change"]) if "change" in stored else None,
        value=stored.get("value", ""),
        region=Region(*stored["region"]) if "region" in stored else None,
        of=stored.get("of"),
    )
