"""Instance scores: equal to slow reference versions, and known values for known mistakes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import contingency_table

from wsipipe.errors import ConfigError
from wsipipe.training.evaluation.instance_metrics import aggregated_jaccard, instance_scores, overlaps


def squares() -> np.ndarray:
    """Four squares of 8 px, two of which touch."""
    labels = np.zeros((40, 40), np.int32)
    for label, (y, x) in enumerate([(2, 2), (2, 10), (20, 4), (28, 28)], start=1):
        labels[y : y + 8, x : x + 8] = label
    return labels


def pixel_sets(labels: np.ndarray) -> list[set[tuple[int, int]]]:
    return [set(zip(*np.nonzero(labels == name), strict=True)) for name in np.unique(labels) if name]


def slow_aji(truth: np.ndarray, found: np.ndarray) -> float:
    """Kumar's algorithm 1, line by line, on sets of pixels; equal candidates are taken by equal chances."""
    free = [1.0] * len(pixel_sets(found))
    inter = union = 0
    for one in pixel_sets(truth):
        candidates = [(len(one & other) / len(one | other), len(one & other), j)
                      for j, other in enumerate(pixel_sets(found)) if one & other]  # fmt: skip
        if not candidates:
            union += len(one)
            continue
        *_, best = max(candidates)
        equal = [j for iou, shared, j in candidates if (iou, shared) == max(candidates)[:2]]
        inter += len(one & pixel_sets(found)[best])
        union += len(one | pixel_sets(found)[best])
        for j in equal:
            free[j] *= 1 - 1 / len(equal)
    union += sum(len(one) * chance for one, chance in zip(pixel_sets(found), free, strict=True))
    return inter / union if union else 1.0


def slow_pq(truth: np.ndarray, found: np.ndarray) -> tuple[float, float, float]:
    """PQ, DQ, SQ of Kirillov et al., from true positives, false positives and false negatives."""
    ious = [len(one & other) / len(one | other) for one in pixel_sets(truth) for other in pixel_sets(found)]
    hits = [iou for iou in ious if iou > 0.5]
    false_positives = len(pixel_sets(found)) - len(hits)
    false_negatives = len(pixel_sets(truth)) - len(hits)
    whole = len(hits) + false_positives / 2 + false_negatives / 2
    if not whole:
        return 1.0, 1.0, 1.0
    sq = sum(hits) / len(hits) if hits else 0.0
    return sum(hits) / whole, len(hits) / whole, sq


def slow_dice2(truth: np.ndarray, found: np.ndarray) -> float:
    """DICE2 from sets of pixels: each overlapping pair adds its shared px and its areas."""
    pairs = [(one, other) for one in pixel_sets(truth) for other in pixel_sets(found) if one & other]
    areas = sum(len(one) + len(other) for one, other in pairs)
    if not pixel_sets(truth) and not pixel_sets(found):
        return 1.0
    return 2 * sum(len(one & other) for one, other in pairs) / areas if areas else 0.0


@st.composite
def label_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles over rectangles, found ones moved by little or drawn anew."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    maps = np.zeros((2, 14, 14), np.int32)
    for name in rng.permutation(20)[: draw(st.integers(0, 8))] + 1:
        y, x, height, width = *rng.integers(0, 12, 2), *rng.integers(1, 6, 2)
        maps[0, y : y + height, x : x + width] = name
        dy, dx = rng.integers(0, 3, 2)
        maps[1, y + dy : y + dy + height, x + dx : x + dx + width] = 40 - name
    return maps[0], maps[1]


@settings(max_examples=60, deadline=None)
@given(label_pairs())
def test_the_scores_are_those_of_the_definitions(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, found = pair
    scores = instance_scores(truth, found)
    pq, dq, sq = slow_pq(truth, found)
    assert scores["aji"] == pytest.approx(slow_aji(truth, found))
    assert (scores["pq"], scores["dq"], scores["sq"]) == pytest.approx((pq, dq, sq))
    assert scores["f1"] == scores["dq"]
    assert scores["dice2"] == pytest.approx(slow_dice2(truth, found))


def test_ensemble_dice_counts_a_split_nucleus_twice() -> None:
    """Halves of 16 px of a nucleus of 32: 2 * 32 / (2 * 32 + 32); the union of both would give 1."""
    truth, found = np.zeros((2, 4, 8), np.int32)
    truth[:], found[:, :4], found[:, 4:] = 1, 1, 2
    assert instance_scores(truth, found)["dice2"] == 2 / 3


def test_the_slow_aji_tells_another_rule_apart() -> None:
    """One found nucleus over two true ones: counted twice by Kumar, once by a one-to-one rule (1/3)."""
    truth, found = np.zeros((2, 4, 8), np.int32)
    truth[:, :4], truth[:, 4:], found[:] = 1, 2, 3
    assert instance_scores(truth, found)["aji"] == slow_aji(truth, found) == 0.5


def test_which_of_two_equal_nuclei_is_taken_does_not_hang_on_names() -> None:
    """Two found halves of one true nucleus, equal but for names; the right one is the next one's best too."""
    truth, found = np.zeros((2, 4, 12), np.int32)
    truth[:, 2:6], truth[:, 6:10] = 1, 2
    found[:, :4], found[:, 4:8] = 1, 2
    swapped = np.array([0, 2, 1])[found]
    scores = [instance_scores(truth, labels)["aji"] for labels in (found, swapped)]
    # Overlaps 8 and 8, unions 24 and 24; the left half is left over with a chance of 1/2: 16 px / 2.
    assert scores == [16 / 56, 16 / 56]


def test_one_nucleus_found_as_two_halves_leaves_one_over() -> None:
    truth, found = np.zeros((2, 4, 8), np.int32)
    truth[:], found[:, :4], found[:, 4:] = 1, 1, 2
    assert instance_scores(truth, found)["aji"] == slow_aji(truth, found) == 16 / (32 + 16)


@settings(max_examples=30, deadline=None)
@given(label_pairs(), st.integers(0, 3), st.booleans())
def test_names_and_orientation_do_not_matter(
    pair: tuple[np.ndarray, np.ndarray], turns: int, mirrored: bool
) -> None:
    turned = [np.rot90(labels, turns)[:, :: -1 if mirrored else 1] for labels in pair]
    renamed = [np.where(labels > 0, 90 - 2 * labels, 0) for labels in turned]
    assert instance_scores(*renamed) == pytest.approx(instance_scores(*pair), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(label_pairs())
def test_overlaps_are_those_of_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    table = contingency_table(*pair).toarray()[1:, 1:]
    pairs = overlaps(*pair)
    assert sorted(table[table > 0]) == sorted(pairs.shared)


def test_merged_nuclei_lose() -> None:
    merged = np.where(squares() == 2, 1, squares()).astype(np.int32)
    found = instance_scores(squares(), merged)
    # Two of four match (overlap 1), the merged one reaches half at best: PQ = 2 / ((4 + 3) / 2).
    assert found["pq"] == pytest.approx(2 / 3.5)
    assert found["aji"] == pytest.approx((64 + 64 + 64 + 64) / (64 + 64 + 128 + 128))


def test_missed_and_invented_nuclei_lower_every_score() -> None:
    found = squares()
    found[found == 4] = 0
    found[34:38, 2:12] = 9
    result = instance_scores(squares(), found)
    assert result["pq"] == pytest.approx(3 / 4)
    assert result["aji"] == pytest.approx(192 / (256 + 40))


def test_nothing_found_scores_zero_and_nothing_there_and_found_one() -> None:
    empty = np.zeros_like(squares())
    assert set(instance_scores(squares(), empty).values()) == {0.0}
    assert set(instance_scores(empty, squares()).values()) == {0.0}
    assert set(instance_scores(empty, empty).values()) == {1.0}
    assert aggregated_jaccard(overlaps(empty, empty)) == 1.0


def test_maps_of_two_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(40, 40\) and \(39, 40\)"):
        instance_scores(squares(), squares()[1:])
