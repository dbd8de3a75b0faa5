"""Merge the journals of two reviewers of one slide.

Edits that touch the same nuclei or pixels belong together. A group of one reviewer that the other did not
touch is taken; where both touched, equal outcomes are taken once and different ones are a conflict: left as
published, unless one reviewer is preferred.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array
from wsipipe.review.journal.edit import Edit, JournalEntry
from wsipipe.review.journal.journal import Journal, now
from wsipipe.review.journal.journal_file import SUFFIX, JournalHeader
from wsipipe.review.journal.pixel_diff import PixelDiff
from wsipipe.review.journals import checked_name
from wsipipe.review.slide import ReviewedSlide


@dataclass(frozen=True)
class Conflict:
    """Different edits of two reviewers at the same place.

    Attributes:
        nuclei: Published nuclei concerned; empty for tissue.
        place: (y, x) of the first px, in px of the nuclei.
        one: Edits of the first reviewer, as ``reject 5``.
        other: Edits of the second reviewer.
    """

    nuclei: tuple[int, ...]
    place: tuple[int, int]
    one: tuple[str, ...]
    other: tuple[str, ...]


@dataclass(frozen=True)
class MergedReview:
    """Result of merging two reviews.

    Attributes:
        journal: The new journal.
        edit_count: Number of edits in it.
        conflicts: Conflicts; left as published, or resolved for the preferred reviewer.
    """

    journal: Path
    edit_count: int
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, eq=False)
class _Group:
    """Edits of both reviewers that belong together, each in order."""

    one: list[JournalEntry]
    other: list[JournalEntry]

    @property
    def ids(self) -> frozenset[int]:
        return frozenset().union(*(entry.touched for entry in [*self.one, *self.other]))

    @property
    def diffs(self) -> list[PixelDiff]:
        return [entry.edit.diff for entry in [*self.one, *self.other] if entry.edit.diff]


def merge_reviews(
    one: ReviewedSlide, other: ReviewedSlide, name: str, prefer: str | None = None
) -> MergedReview:
    """Write ``reviews/NAME.journal`` with the edits of two reviewers.

    Args:
        one: Review of one reviewer.
        other: Review of another one, of the same plan; its new nuclei get new ids.
        name: User name of the merged journal; it must not exist yet.
        prefer: Reviewer whose edits are taken in a conflict; None leaves conflicts as published.

    Raises:
        ConfigError: The name exists already, or ``prefer`` is neither reviewer.
        StorageError: The journals are of different plans.
    """
    path = one.folder.parent / f"{checked_name(name)}{SUFFIX}"
    _check(one, other, path, prefer)
    taken: list[JournalEntry] = []
    conflicts = []
    for group in _groups(one.history.done, _renamed(other.history.done, _fresh_ids(one, other))):
        if group.one and group.other and not _same_outcome(one, other, group):
            conflicts.append(_conflict(one, group))
            taken += {one.user: group.one, other.user: group.other}.get(prefer or "", [])
        else:
            taken += group.one or group.other
    return MergedReview(path, _write(one, other, path, name, taken), tuple(conflicts))


def _check(one: ReviewedSlide, other: ReviewedSlide, path: Path, prefer: str | None) -> None:
    if one.published.slide_id != other.published.slide_id or one.published.plan != other.published.plan:
        raise ConfigError(
            f"Reviews of {one.published.slide_id} and {other.published.slide_id} were not merged: they are "
            "of different slides or plans. Merge reviews of the same result."
        )
    if path.exists():
        raise ConfigError(f"{path} exists already; choose another name for the merged review.")
    if prefer not in (None, one.user, other.user):
        raise ConfigError(
            f"{prefer} cannot be preferred: the reviewers are {one.user} and {other.user}. Name one of them."
        )


def _fresh_ids(one: ReviewedSlide, other: ReviewedSlide) -> dict[int, int]:
    """Return unused ids for the second reviewer's new nuclei."""
    published = other.published.nuclei.highest_id
    new = sorted(i for i in {i for e in other.history.done for i in e.touched} if i > published)
    first = max(one.highest_id, other.highest_id) + 1
    return {identity: first + number for number, identity in enumerate(new)}


def _renamed(entries: Iterable[JournalEntry], fresh: dict[int, int]) -> list[JournalEntry]:
    return [
        JournalEntry(number=entry.number, user=entry.user, at=entry.at, edit=_renamed_edit(entry.edit, fresh))
        for entry in entries
    ]


def _renamed_edit(edit: Edit, fresh: dict[int, int]) -> Edit:
    diff = edit.diff
    if diff and diff.array == "nuclei":
        runs = diff.runs.copy()
        for column in (2, 3):
            runs[:, column] = [fresh.get(value, value) for value in runs[:, column].tolist()]
        diff = replace(diff, runs=runs)
    return replace(edit, ids=tuple(fresh.get(identity, identity) for identity in edit.ids), diff=diff)


def _groups(ones: list[JournalEntry], others: list[JournalEntry]) -> list[_Group]:
    """Group entries that share a nucleus or pixel.

    Groups are in the order of their first entry.
    """
    listed = [*ones, *others]
    parent = list(range(len(listed)))
    owner: dict[tuple[str, int, int], int] = {}

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for number, entry in enumerate(listed):
        for key in _keys(entry):
            parent[root(owner.setdefault(key, number))] = root(number)
    joined: dict[int, _Group] = {}
    for number, entry in enumerate(listed):
        group = joined.setdefault(root(number), _Group([], []))
        (group.one if number < len(ones) else group.other).append(entry)
    return list(joined.values())


def _keys(entry: JournalEntry) -> set[tuple[str, int, int]]:
    keys = {("id", identity, 0) for identity in entry.touched}
    if entry.edit.diff:
        y, x, _ = entry.edit.diff.positions()
        keys |= {(entry.edit.diff.array, *place) for place in zip(y.tolist(), x.tolist(), strict=True)}
    return keys


def _same_outcome(one: ReviewedSlide, other: ReviewedSlide, group: _Group) -> bool:
    """Return whether both reviewers have the same pixels and classes.

    The ids of new nuclei may differ, but not their extents.
    """
    published = [identity for identity in group.ids if one.published.nuclei.row(identity) is not None]
    outcomes = [
        [(slide.area_px(i) > 0, slide.area_px(i) > 0 and slide.class_of(i)) for i in published]
        for slide in (one, other)
    ]
    if outcomes[0] != outcomes[1]:
        return False
    return all(_same_pixels(one, other, diff) for diff in group.diffs)


def _same_pixels(one: ReviewedSlide, other: ReviewedSlide, diff: PixelDiff) -> bool:
    if diff.array == "tissue_class":
        return bool((one.tissue(diff.box) == other.tissue(diff.box)).all())
    mine, theirs = one.labels(diff.box), other.labels(diff.box)
    return _one_to_one(mine, theirs, one.published.nuclei.highest_id)


def _one_to_one(mine: Array, theirs: Array, known: int) -> bool:
    """Return whether published ids and new extents are equal."""
    old_mine, old_theirs = np.where(mine > known, 0, mine), np.where(theirs > known, 0, theirs)
    if (old_mine != old_theirs).any() or ((mine > known) != (theirs > known)).any():
        return False
    pairs = np.unique(np.stack([mine[mine > known], theirs[mine > known]]), axis=1)
    return np.unique(pairs[0]).size == pairs.shape[1] == np.unique(pairs[1]).size


def _conflict(slide: ReviewedSlide, group: _Group) -> Conflict:
    nuclei = tuple(sorted(i for i in group.ids if slide.published.nuclei.row(i) is not None))
    boxes = [
        diff.box if diff.array == "nuclei" else diff.box.scaled(slide.published.class_downsample)
        for diff in group.diffs
    ]
    boxes += [slide.box(identity) for identity in nuclei]
    place = min((box.y, box.x) for box in boxes)
    return Conflict(nuclei, place, _descriptions(group.one), _descriptions(group.other))


def _descriptions(entries: list[JournalEntry]) -> tuple[str, ...]:
    return tuple(
        " ".join([entry.edit.kind, *map(str, entry.edit.ids), entry.edit.value]).strip() for entry in entries
    )


def _write(one: ReviewedSlide, other: ReviewedSlide, path: Path, name: str, taken: list[JournalEntry]) -> int:
    header = JournalHeader(one.published.slide_id, one.published.plan, name, one.published.shape)
    visits = [
        (Edit(kind="visit", tool="merge", region=region), slide.user, now())
        for slide in (one, other)
        for region in slide.history.visited
    ]
    journal = Journal.open(path, header)
    try:
        journal.append_all([*visits, *((entry.edit, entry.user, entry.at) for entry in taken)])
    finally:
        journal.close()
    return len(taken)
