"""Scores of a comparison: of all nuclei, and by class."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from wsipipe.geometry import Array
from wsipipe.results.compare.tally import Tally
from wsipipe.training.evaluation.instance_metrics import MATCH_IOU, Overlaps, scores_of_pairs

Scores = dict[str, float]


def scores_of(pairs: Overlaps) -> Scores:
    """Return counts and scores of pairs of nuclei.

    ``dice`` is that of the px, ``matched`` the pairs of IoU > 0.5. ``missed`` nuclei are in the reference
    alone, ``extra`` ones in the result alone. The other scores are those of ``wsipipe evaluate``.
    """
    true, found = len(pairs.true_areas), len(pairs.found_areas)
    matched = int((pairs.iou > MATCH_IOU).sum())
    px = int(pairs.true_areas.sum() + pairs.found_areas.sum())
    return {
        "reference": true,
        "result": found,
        "matched": matched,
        "missed": true - matched,
        "extra": found - matched,
        "dice": 2 * int(pairs.shared.sum()) / px if px else 1.0,
        "precision": matched / found if found else float(not true),
        "recall": matched / true if true else float(not found),
        **scores_of_pairs(pairs),
    }


def scores_by_class(
    tally: Tally, true_classes: Mapping[int, str], found_classes: Mapping[int, str]
) -> dict[str, Scores]:
    """Return :func:`scores_of` the nuclei of each class.

    A nucleus counts as matched if its partner has the same class. The result is empty unless both sides have
    classes.

    Args:
        tally: Overlaps of all nuclei.
        true_classes: Class by id of the reference.
        found_classes: Class by id of the result.
    """
    true, found = _names(tally.true.ids, true_classes), _names(tally.found.ids, found_classes)
    if not any(true) or not any(found):
        return {}
    names = sorted({*true.tolist(), *found.tolist()} - {""})
    return {name: scores_of(tally.subset(true == name, found == name)) for name in names}


def confusion_of(
    tally: Tally, true_classes: Mapping[int, str], found_classes: Mapping[int, str]
) -> dict[str, dict[str, int]]:
    """Count matched nuclei by reference class, then by class in the result.

    Nuclei without a class have an empty name.
    """
    true, found = tally.matches
    named = zip(
        _names(tally.true.ids, true_classes)[true].tolist(),
        _names(tally.found.ids, found_classes)[found].tolist(),
        strict=True,
    )
    table: dict[str, dict[str, int]] = {}
    for (row, column), count in sorted(Counter(named).items()):
        table.setdefault(row, {})[column] = count
    return table


def _names(ids: Array, classes: Mapping[int, str]) -> Array:
    return np.array([classes.get(number, "") for number in ids.tolist()], dtype=object)
