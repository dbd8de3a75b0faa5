"""Two reviewers of one slide -> how well they agree: Cohen's kappa and Dice, by class."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from wsipipe.geometry import Array, Region
from wsipipe.review.slide import Look

REJECTED = "rejected"
_BLOCK_PX = 2048


def agreement(one: Look, other: Look) -> dict[str, Any]:
    """How two reviewers of the same plan agree.

    Args:
        one: A reviewer.
        other: Another one.

    Returns:
        ``judged``: published nuclei that both acted on or had in a field they visited; ``kappa`` over all
        outcomes and ``kappa_by_class`` (class against the rest, ``rejected`` included), None where one
        outcome is all there is; ``nuclei_dice_by_class`` and ``tissue_dice_by_class`` over the pixels where
        both looked (everywhere where no field was visited by both).

    Source: Cohen 1960, Educational and Psychological Measurement 20, 37-46; Dice 1945, Ecology 26, 297-302.
    """
    rows = _judged(one, other)
    ids = one.source.nuclei.ids[rows].tolist()
    outcomes = [np.array([_outcome(look, identity) for identity in ids], object) for look in (one, other)]
    names = sorted({*outcomes[0], *outcomes[1]})
    return {
        "reviewers": [one.user, other.user],
        "judged": len(ids),
        "kappa": kappa(*outcomes),
        "kappa_by_class": {
            name or "no class": kappa(outcomes[0] == name, outcomes[1] == name) for name in names
        },
        "nuclei_dice_by_class": _nuclei_dice(one, other),
        "tissue_dice_by_class": _tissue_dice(one, other),
    }


def kappa(one: Array, other: Array) -> float | None:
    """Cohen's kappa of two lists (n,) of outcomes; None where there is one outcome only, or none."""
    if not len(one):
        return None
    names = set(one.tolist()) | set(other.tolist())
    by_chance = sum(float((one == name).mean() * (other == name).mean()) for name in names)
    if by_chance >= 1:
        return None
    return (float((one == other).mean()) - by_chance) / (1 - by_chance)


def seen(look: Look, downsample: int) -> Array:
    """Visited places (h, w) bool, one px for ``downsample`` px of the nuclei, seen if any of it was."""
    shape = (-(-look.shape[0] // downsample), -(-look.shape[1] // downsample))
    mask = np.zeros(shape, bool)
    for field in look.state.visited:
        mask[field.scaled(1, downsample).slices] = True
    return mask


def _outcome(look: Look, identity: int) -> str:
    return REJECTED if look.area_px(identity) <= 0 else look.class_of(identity)


def _judged(one: Look, other: Look) -> Array:
    nuclei = one.source.nuclei
    acted = [np.isin(nuclei.ids, list(look.state.touched)) for look in (one, other)]
    looked = [
        acted[i] | _inside(look.state.visited, nuclei.y, nuclei.x) for i, look in enumerate((one, other))
    ]
    return np.flatnonzero(looked[0] & looked[1])


def _inside(fields: Sequence[Region], y: Array, x: Array) -> Array:
    found = np.zeros(y.size, bool)
    for field in fields:
        found |= (y >= field.y) & (y < field.end_y) & (x >= field.x) & (x < field.end_x)
    return found


def _common(one: Look, other: Look, downsample: int) -> Array:
    both = seen(one, downsample) & seen(other, downsample)
    return both if both.any() else np.ones_like(both)


def _tissue_dice(one: Look, other: Look) -> dict[str, float | None]:
    if not one.has_tissue:
        return {}
    where = _common(one, other, one.source.class_downsample)
    maps = [look.tissue()[where] for look in (one, other)]
    found = {}
    for item in one.source.classes:
        first, second = (values == item.value for values in maps)
        found[item.name] = _dice(int(first.sum()), int(second.sum()), int((first & second).sum()))
    return found


def _nuclei_dice(one: Look, other: Look) -> dict[str, float | None]:
    """Pixels of the nuclei of each class, read block by block where both looked."""
    if not one.has_nuclei:
        return {}
    names = list(dict.fromkeys(["", *one.class_names, *other.class_names]))
    sums = np.zeros((len(names), 3), np.int64)
    where = _common(one, other, _BLOCK_PX // 8)
    for block in Region(0, 0, *one.shape).blocks(_BLOCK_PX):
        there = where[block.scaled(1, _BLOCK_PX // 8).slices]
        if not there.any():
            continue
        wide = np.repeat(np.repeat(there, _BLOCK_PX // 8, 0), _BLOCK_PX // 8, 1)[
            : block.height, : block.width
        ]
        maps = [_class_numbers(look, block, names)[wide] for look in (one, other)]
        for number in range(len(names)):
            one_has, other_has = (values == number + 1 for values in maps)
            sums[number] += (one_has.sum(), other_has.sum(), (one_has & other_has).sum())
    return {
        name or "no class": _dice(*map(int, sums[number]))
        for number, name in enumerate(names)
        if sums[number, :2].any()
    }


def _class_numbers(look: Look, block: Region, names: list[str]) -> Array:
    """Labels of a block -> 1 + the number of each px's class, 0 for background."""
    ids, at = np.unique(look.labels(block), return_inverse=True)
    numbers = [names.index(look.class_of(int(identity))) + 1 if identity else 0 for identity in ids]
    return np.array(numbers)[at].reshape(block.shape)


def _dice(one: int, other: int, both: int) -> float | None:
    return 2 * both / (one + other) if one + other else None
