"""F1 of types, against another small implementation of the formula and against known cases."""

import itertools
from collections import Counter

import numpy as np
import pytest

from wsipipe.training.evaluation.type_metrics import (
    TypePairs,
    found_codes,
    pooled,
    type_pairs,
    type_scores,
)

NAMES = ("a", "b", "c")


def squares(*places: tuple[int, int]) -> np.ndarray:
    labels = np.zeros((60, 60), np.int32)
    for label, (y, x) in enumerate(places, start=1):
        labels[y : y + 4, x : x + 4] = label
    return labels


def other_implementation(true: list, found: list, radius: float) -> dict[str, float]:
    """The formula of the paper by loops: true and found are lists of (y, x, type), few of them."""
    best: tuple[float, list] = (np.inf, [])
    short, long = sorted([true, found], key=len)
    for chosen in itertools.permutations(range(len(long)), len(short)):
        pairs = [(i, j) if short is true else (j, i) for i, j in enumerate(chosen)]
        distances = [np.hypot(true[i][0] - found[j][0], true[i][1] - found[j][1]) for i, j in pairs]
        best = min(best, (sum(distances), list(zip(pairs, distances, strict=True))))
    met = [pair for pair, distance in best[1] if distance <= radius]
    missed = [t for i, (*_, t) in enumerate(true) if i not in {i for i, _ in met}]
    added = [t for j, (*_, t) in enumerate(found) if j not in {j for _, j in met}]
    table = Counter((true[i][2], found[j][2]) for i, j in met)
    scores = {"detection": 2 * len(met) / (len(true) + len(found))}
    for code, name in enumerate(NAMES, start=1):
        tp = table[code, code]
        fp = sum(n for (t, f), n in table.items() if f == code != t)
        fn = sum(n for (t, f), n in table.items() if t == code != f)
        below = 2 * tp + 2 * fp + 2 * fn + added.count(code) + missed.count(code)
        if below:
            scores[name] = 2 * tp / below
    return scores


@pytest.mark.parametrize("seed", range(6))
def test_both_implementations_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = [(y, x) for y in range(6, 50, 14) for x in range(6, 50, 14)]
    places = [grid[i] for i in rng.permutation(len(grid))[:6]]
    moved = [(y + int(rng.integers(-3, 4)), x + int(rng.integers(-3, 4))) for y, x in places[:5]]
    true_codes = np.append(0, rng.integers(1, 4, 6)).astype(np.uint8)
    codes = np.append(0, rng.integers(1, 4, 5)).astype(np.uint8)
    pairs = type_pairs(squares(*places), true_codes, squares(*moved), codes, 3.0)
    listed = [
        [(y, x, int(code)) for (y, x), code in zip(each, own[1:], strict=True)]
        for each, own in ((places, true_codes), (moved, codes))
    ]
    assert type_scores(pairs, NAMES) == pytest.approx(other_implementation(*listed, 3.0))
    assert len(pairs.missed) >= 1


def test_one_wrong_type_one_missed_and_one_too_many() -> None:
    true, found = squares((5, 5), (5, 20), (30, 5)), squares((5, 6), (5, 21), (50, 50))
    pairs = type_pairs(true, np.array([0, 1, 1, 2], np.uint8), found, np.array([0, 1, 2, 2], np.uint8), 2)
    assert type_scores(pairs, NAMES) == pytest.approx({"detection": 4 / 6, "a": 2 / 4, "b": 0.0})


def test_fields_are_pooled_and_unknown_types_count_for_detection_alone() -> None:
    one, other = (
        TypePairs(*(np.array(part, np.uint8) for part in parts))
        for parts in (([1, 0], [1, 2], [], [2]), ([2], [2], [1], []))
    )
    scores = type_scores(pooled([one, other]), NAMES)
    assert scores == pytest.approx({"detection": 6 / 8, "a": 2 / 3, "b": 2 / 3})


def test_fields_without_nuclei_have_no_pairs() -> None:
    empty, codes = np.zeros((8, 8), np.int32), np.zeros(1, np.uint8)
    pairs = type_pairs(empty, codes, empty, codes, 3)
    assert type_scores(pairs, NAMES) == {"detection": 1.0}


def test_found_types_are_those_of_the_table() -> None:
    found = squares((5, 5), (20, 20), (40, 40))
    maps = np.full((2, 60, 60), 255, np.uint8)
    maps[:, found == 1] = [[10], [240]]
    maps[:, found == 2] = [[125], [125]]
    assert found_codes(found, maps).tolist() == [0, 2, 1, 0]
