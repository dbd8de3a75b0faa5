"""Two reviewers' journals of one slide -> one journal, and the list of what they do not agree on.

Acts that touch the same nuclei or pixels belong together. A group of one reviewer that the other did not
touch is taken over; where both touched, equal outcomes are taken once and different ones are a conflict:
left as published, unless one reviewer is preferred.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array
from wsipipe.review.journal.edit import Act, Entry
from wsipipe.review.journal.journal import SUFFIX, Header, Journal, now
from wsipipe.review.journal.pixel_diff import Change
from wsipipe.review.slide import Look, checked_name


@dataclass(frozen=True)
class Conflict:
    """Something that two reviewers left in different states.

    Attributes:
        nuclei: Published nuclei concerned, empty for tissue.
        place: (y, x) of its first px, in px of the nuclei.
        one: Acts of the first reviewer, as ``reject 5``.
        other: Acts of the second.
    """

    nuclei: tuple[int, ...]
    place: tuple[int, int]
    one: tuple[str, ...]
    other: tuple[str, ...]


@dataclass(frozen=True)
class Merged:
    """What came of merging.

    Attributes:
        journal: The new journal.
        taken: Acts in it.
        conflicts: What was left out, or decided for the preferred reviewer.
    """

    journal: Path
    taken: int
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, eq=False)
class _Group:
    """Acts of both reviewers that hang together, each in order."""

    one: list[Entry]
    other: list[Entry]

    @property
    def ids(self) -> frozenset[int]:
        return frozenset().union(*(entry.touched for entry in [*self.one, *self.other]))

    @property
    def changes(self) -> list[Change]:
        return [entry.act.change for entry in [*self.one, *self.other] if entry.act.change]


def merge_reviews(one: Look, other: Look, name: str, prefer: str | None = None) -> Merged:
    """Writes ``reviews/NAME.journal`` with what two reviewers did.

    Args:
        one: A reviewer; read only.
        other: Another reviewer of the same plan; new nuclei of theirs get new ids.
        name: User name of the merged journal; must not exist yet.
        prefer: Whose acts are taken in a conflict; None leaves conflicts as published.

    Raises:
        ConfigError: The name is taken or ``prefer`` is neither reviewer.
        StorageError: The journals are of different plans.
    """
    path = one.folder.parent / f"{checked_name(name)}{SUFFIX}"
    _check(one, other, path, prefer)
    taken: list[Entry] = []
    conflicts = []
    for group in _groups(one.state.done, _renamed(other.state.done, _fresh_ids(one, other))):
        if group.one and group.other and not _same_outcome(one, other, group):
            conflicts.append(_conflict(one, group))
            taken += {one.user: group.one, other.user: group.other}.get(prefer or "", [])
        else:
            taken += group.one or group.other
    return Merged(path, _write(one, other, path, name, taken), tuple(conflicts))


def _check(one: Look, other: Look, path: Path, prefer: str | None) -> None:
    if one.source.slide_id != other.source.slide_id or one.source.plan != other.source.plan:
        raise ConfigError(
            f"Reviews of {one.source.slide_id} and {other.source.slide_id} were to be merged, which are "
            f"different "
            f"slides or plans; merge reviews of the same result."
        )
    if path.exists():
        raise ConfigError(f"{path} is there already; choose another name for the merged review.")
    if prefer not in (None, one.user, other.user):
        raise ConfigError(
            f"Conflicts were to go to {prefer}, but the reviewers are {one.user} and {other.user}."
        )


def _fresh_ids(one: Look, other: Look) -> dict[int, int]:
    """New nuclei of the second reviewer -> ids that nobody had."""
    published = other.source.nuclei.highest_id
    new = sorted(i for i in {i for e in other.state.done for i in e.touched} if i > published)
    first = max(one.next_id, other.next_id)
    return {identity: first + number for number, identity in enumerate(new)}


def _renamed(entries: Iterable[Entry], fresh: dict[int, int]) -> list[Entry]:
    return [
        Entry(number=entry.number, user=entry.user, at=entry.at, act=_renamed_act(entry.act, fresh))
        for entry in entries
    ]


def _renamed_act(act: Act, fresh: dict[int, int]) -> Act:
    change = act.change
    if change and change.array == "nuclei":
        runs = change.runs.copy()
        for column in (2, 3):
            runs[:, column] = [fresh.get(value, value) for value in runs[:, column].tolist()]
        change = Change(change.array, change.box, runs)
    ids = tuple(fresh.get(identity, identity) for identity in act.ids)
    return Act(kind=act.kind, tool=act.tool, ids=ids, change=change, value=act.value, region=act.region)


def _groups(ones: list[Entry], others: list[Entry]) -> list[_Group]:
    """Entries of both, joined where they share a nucleus or a pixel; in order of their first entry."""
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


def _keys(entry: Entry) -> set[tuple[str, int, int]]:
    keys = {("id", identity, 0) for identity in entry.touched}
    if entry.act.change:
        y, x, _ = entry.act.change.places()
        keys |= {(entry.act.change.array, *place) for place in zip(y.tolist(), x.tolist(), strict=True)}
    return keys


def _same_outcome(one: Look, other: Look, group: _Group) -> bool:
    """Whether both leave the same pixels and classes; new ids may differ in number, not in extent."""
    published = [identity for identity in group.ids if one.source.nuclei.row(identity) is not None]
    outcomes = [
        [(look.area_px(i) > 0, look.area_px(i) > 0 and look.class_of(i)) for i in published]
        for look in (one, other)
    ]
    if outcomes[0] != outcomes[1]:
        return False
    return all(_same_pixels(one, other, change) for change in group.changes)


def _same_pixels(one: Look, other: Look, change: Change) -> bool:
    if change.array == "tissue_class":
        return bool((one.tissue(change.box) == other.tissue(change.box)).all())
    mine, theirs = one.labels(change.box), other.labels(change.box)
    return _one_to_one(mine, theirs, one.source.nuclei.highest_id)


def _one_to_one(mine: Array, theirs: Array, known: int) -> bool:
    """Same published ids everywhere, and new nuclei of the same extent."""
    old_mine, old_theirs = np.where(mine > known, 0, mine), np.where(theirs > known, 0, theirs)
    if (old_mine != old_theirs).any() or ((mine > known) != (theirs > known)).any():
        return False
    pairs = np.unique(np.stack([mine[mine > known], theirs[mine > known]]), axis=1)
    return np.unique(pairs[0]).size == pairs.shape[1] == np.unique(pairs[1]).size


def _conflict(look: Look, group: _Group) -> Conflict:
    nuclei = tuple(sorted(i for i in group.ids if look.source.nuclei.row(i) is not None))
    boxes = [
        change.box if change.array == "nuclei" else change.box.scaled(look.source.class_downsample)
        for change in group.changes
    ]
    boxes += [look.box(identity) for identity in nuclei]
    place = min((box.y, box.x) for box in boxes)
    return Conflict(nuclei, place, _told(group.one), _told(group.other))


def _told(entries: list[Entry]) -> tuple[str, ...]:
    return tuple(
        " ".join([entry.act.kind, *map(str, entry.act.ids), entry.act.value]).strip() for entry in entries
    )


def _write(one: Look, other: Look, path: Path, name: str, taken: list[Entry]) -> int:
    header = Header(one.source.slide_id, one.source.plan, name, one.source.shape)
    visits = [
        (Act(kind="visit", tool="merge", region=region), look.user, now())
        for look in (one, other)
        for region in look.state.visited
    ]
    journal = Journal.open(path, header)
    try:
        journal.append_all([*visits, *((entry.act, entry.user, entry.at) for entry in taken)])
    finally:
        journal.close()
    return len(taken)
