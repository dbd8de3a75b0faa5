"""DAB in nuclei: classed by thresholds, the H-score."""

import numpy as np

from wsipipe.stages.nuclei.positivity import MeasureParams, dab_classes, h_score


def test_a_nucleus_at_the_threshold_has_the_higher_class() -> None:
    density = np.array([-0.1, 0.2, 0.3999, 0.4, 0.6, 2.0], np.float32)
    assert dab_classes(density, MeasureParams()).tolist() == [0, 1, 1, 2, 3, 3]


def test_the_h_score_is_a_weighted_share() -> None:
    assert h_score(np.array([40, 30, 20, 10])) == 30 + 2 * 20 + 3 * 10
    assert h_score(np.array([0, 0, 0, 5])) == 300
    assert h_score(np.zeros(4, int)) == 0
