"""Agreement of two reviewers: Cohen's kappa and Dice."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from wsipipe.geometry import Array, Region
from wsipipe.review.slide import ReviewedSlide

REJECTED = "rejected"
_BLOCK_PX = 2048


class ReviewerAgreement(TypedDict):
    """Agreement of two reviewers.

    Attributes:
        reviewers: Names of the reviewers.
        judged: Number of published nuclei that both edited or had in a visited field.
        kappa: Kappa over all outcomes; None with one outcome only.
        kappa_by_class: Kappa of each class against the rest, ``rejected`` included.
        nuclei_dice_by_class: Dice over the pixels that both visited; over all where no field was visited by
            both.
        tissue_dice_by_class: The same for the class map.
    """

    reviewers: list[str]
    judged: int
    kappa: float | None
    kappa_by_class: dict[str, float | None]
    nuclei_dice_by_class: dict[str, float | None]
    tissue_dice_by_class: dict[str, float | None]


def agreement(one: ReviewedSlide, other: ReviewedSlide) -> ReviewerAgreement:
    """Return the agreement of two reviewers of the same plan.

    Args:
        one: Review of one reviewer.
        other: Review of another one.

    Source: Cohen 1960, Educational and Psychological Measurement 20, 37-46; Dice 1945, Ecology 26, 297-302.
    """
    rows = _judged(one, other)
    ids = one.published.nuclei.ids[rows].tolist()
    outcomes = [np.array([_outcome(slide, identity) for identity in ids], object) for slide in (one, other)]
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
    """Return Cohen's kappa of outcomes (n,).

    It is None with fewer than two different outcomes.
    """
    if not len(one):
        return None
    names = set(one.tolist()) | set(other.tolist())
    by_chance = sum(float((one == name).mean() * (other == name).mean()) for name in names)
    if by_chance >= 1:
        return None
    return (float((one == other).mean()) - by_chance) / (1 - by_chance)


def visited_mask(slide: ReviewedSlide, downsample: int) -> Array:
    """Return the mask (h, w) of visited px.

    A px covers ``downsample`` px of the nuclei, and is visited if any part of it was.
    """
    shape = (-(-slide.shape[0] // downsample), -(-slide.shape[1] // downsample))
    mask = np.zeros(shape, bool)
    for field in slide.history.visited:
        mask[field.scaled(1, downsample).slices] = True
    return mask


def _outcome(slide: ReviewedSlide, identity: int) -> str:
    return REJECTED if slide.area_px(identity) <= 0 else slide.class_of(identity)


def _judged(one: ReviewedSlide, other: ReviewedSlide) -> Array:
    nuclei = one.published.nuclei
    edited = [np.isin(nuclei.ids, list(slide.history.touched)) for slide in (one, other)]
    judged = [
        edited[i] | _inside(slide.history.visited, nuclei.y, nuclei.x) for i, slide in enumerate((one, other))
    ]
    return np.flatnonzero(judged[0] & judged[1])


def _inside(fields: Sequence[Region], y: Array, x: Array) -> Array:
    found = np.zeros(y.size, bool)
    for field in fields:
        found |= (y >= field.y) & (y < field.end_y) & (x >= field.x) & (x < field.end_x)
    return found


def _common(one: ReviewedSlide, other: ReviewedSlide, downsample: int) -> Array:
    both = visited_mask(one, downsample) & visited_mask(other, downsample)
    return both if both.any() else np.ones_like(both)


def _tissue_dice(one: ReviewedSlide, other: ReviewedSlide) -> dict[str, float | None]:
    if not one.has_tissue:
        return {}
    where = _common(one, other, one.published.class_downsample)
    maps = [slide.tissue()[where] for slide in (one, other)]
    found = {}
    for item in one.published.classes:
        first, second = (values == item.value for values in maps)
        found[item.name] = _dice(int(first.sum()), int(second.sum()), int((first & second).sum()))
    return found


def _nuclei_dice(one: ReviewedSlide, other: ReviewedSlide) -> dict[str, float | None]:
    """Return the Dice of each class of nuclei."""
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
        maps = [_class_numbers(slide, block, names)[wide] for slide in (one, other)]
        for number in range(len(names)):
            one_has, other_has = (values == number + 1 for values in maps)
            sums[number] += (one_has.sum(), other_has.sum(), (one_has & other_has).sum())
    return {
        name or "no class": _dice(*map(int, sums[number]))
        for number, name in enumerate(names)
        if sums[number, :2].any()
    }


def _class_numbers(slide: ReviewedSlide, block: Region, names: list[str]) -> Array:
    """Return class numbers of px from 1, 0 for background."""
    ids, at = np.unique(slide.labels(block), return_inverse=True)
    numbers = [names.index(slide.class_of(int(identity))) + 1 if identity else 0 for identity in ids]
    return np.array(numbers)[at].reshape(block.shape)


def _dice(one: int, other: int, both: int) -> float | None:
    return 2 * both / (one + other) if one + other else None
