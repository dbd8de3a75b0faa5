"""DAB in nuclei: unmixed exactly, classed by thresholds, the H-score."""

import numpy as np
import pytest

from wsipipe.geometry import Orientation
from wsipipe.stages.nuclei.positivity import (
    DAB,
    HAEMATOXYLIN,
    UNIT,
    MeasureParams,
    dab_classes,
    density_tables,
    h_score,
    mean_density,
)


def stained(haematoxylin: float, dab: float) -> np.ndarray:
    """Return the colour (3,) float of these amounts of the dyes."""
    vectors = [np.array(vector) / np.linalg.norm(vector) for vector in (HAEMATOXYLIN, DAB)]
    return 255 * 10 ** -(haematoxylin * vectors[0] + dab * vectors[1])


@pytest.mark.parametrize(("haematoxylin", "dab"), [(0.0, 0.5), (0.8, 0.0), (0.4, 0.3), (0.0, 0.0)])
def test_the_amount_of_dab_is_found_whatever_the_haematoxylin(haematoxylin: float, dab: float) -> None:
    image = np.rint(np.broadcast_to(stained(haematoxylin, dab), (3, 4, 3))).astype(np.uint8)
    found = mean_density(np.ones((3, 4), np.int32), image, 1)
    assert found[0] == pytest.approx(dab, abs=0.01)
    assert found.dtype == np.float32


def test_the_tables_are_those_of_a_matrix_inverse() -> None:
    first, second = (np.array(vector) / np.linalg.norm(vector) for vector in (HAEMATOXYLIN, DAB))
    third = np.cross(first, second)
    share = np.linalg.inv(np.stack([first, second, third / np.linalg.norm(third)]))[:, 1]
    density = -np.log10(np.array([1, 1, *range(2, 256)]) / 255)
    assert np.abs(density_tables() - share[:, None] * density * UNIT).max() <= 0.5001
    assert (density_tables()[:, 255] == 0).all()


@pytest.mark.parametrize("orientation", list(Orientation))
def test_turned_images_have_the_same_densities(orientation: Orientation) -> None:
    rng = np.random.default_rng(1)
    labels, image = rng.integers(0, 6, (30, 50)), rng.integers(0, 256, (30, 50, 3), np.uint8)
    turned = np.stack([orientation.apply(image[..., channel]) for channel in range(3)], -1)
    turned_labels = np.ascontiguousarray(orientation.apply(labels))
    assert (mean_density(turned_labels, turned, 5) == mean_density(labels, image, 5)).all()
    assert (mean_density(turned_labels, 255 - turned, 5) != mean_density(labels, image, 5)).any()


def test_a_nucleus_at_the_threshold_has_the_higher_class() -> None:
    density = np.array([-0.1, 0.2, 0.3999, 0.4, 0.6, 2.0], np.float32)
    assert dab_classes(density, MeasureParams()).tolist() == [0, 1, 1, 2, 3, 3]


def test_the_h_score_is_a_weighted_share() -> None:
    assert h_score(np.array([40, 30, 20, 10])) == 30 + 2 * 20 + 3 * 10
    assert h_score(np.array([0, 0, 0, 5])) == 300
    assert h_score(np.zeros(4, int)) == 0
