"""Scores of found nuclei against the truth.

Dice coefficient of the pixels, precision and recall of the instances.
"""

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ConfigError

Labels = npt.NDArray[np.integer]


def score(labels: Labels, truth_labels: Labels) -> dict[str, float]:
    """Score a label map against the truth.

    An instance is found if an instance of the other map overlaps it with an intersection over union of at
    least 0.5. Matches are unique except for exact ties at 0.5; counts are capped for these.

    Args:
        labels: Found ids (H, W), 0 is background.
        truth_labels: True ids on the same grid.

    Returns:
        ``dice`` of the foregrounds; ``precision``, ``recall``, ``f1`` of the instances; ``count_pred`` and
        ``count_true``. Shares are in [0, 1]; two empty maps score 1.

    Raises:
        ConfigError: The maps differ in shape.

    Source: Kirillov et al., Panoptic Segmentation, CVPR 2019, section 4.1 (unique matching above 0.5).
    """
    if labels.shape != truth_labels.shape:
        raise ConfigError(
            f"Label maps of {labels.shape} and {truth_labels.shape} px cannot be compared. "
            "Crop them to one grid."
        )
    ids_found, found = np.unique(labels, return_inverse=True)
    ids_true, true = np.unique(truth_labels, return_inverse=True)
    codes, shared = np.unique(found.ravel() * len(ids_true) + true.ravel(), return_counts=True)
    row, column = np.divmod(codes, len(ids_true))
    area_found = np.bincount(row, weights=shared)
    area_true = np.bincount(column, weights=shared)
    inside_found, inside_true = ids_found[row] != 0, ids_true[column] != 0
    both = inside_found & inside_true
    matched = both & (3 * shared >= area_found[row] + area_true[column])
    hits = min(len(np.unique(row[matched])), len(np.unique(column[matched])))
    count_pred, count_true = int((ids_found != 0).sum()), int((ids_true != 0).sum())
    return {
        "dice": _share(2 * shared[both].sum(), shared[inside_found].sum() + shared[inside_true].sum()),
        "precision": _share(hits, count_pred),
        "recall": _share(hits, count_true),
        "f1": _share(2 * hits, count_pred + count_true),
        "count_pred": count_pred,
        "count_true": count_true,
    }


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 1.0
