"""Dyes in nuclei: unmixed exactly, the same in every orientation."""

import numpy as np
import pytest

from wsipipe.geometry import Orientation
from wsipipe.stages.nuclei.stains import (
    DAB,
    EOSIN,
    HAEMATOXYLIN,
    UNIT,
    Vector,
    density_tables,
    mean_densities,
)


def stained(first: float, amount: float, second: Vector) -> np.ndarray:
    """Return the colour (3,) float of these amounts of the dyes."""
    vectors = [np.array(vector) / np.linalg.norm(vector) for vector in (HAEMATOXYLIN, second)]
    return 255 * 10 ** -(first * vectors[0] + amount * vectors[1])


@pytest.mark.parametrize("second", [EOSIN, DAB])
@pytest.mark.parametrize(("haematoxylin", "other"), [(0.0, 0.5), (0.8, 0.0), (0.4, 0.3), (0.0, 0.0)])
def test_the_amount_of_each_dye_is_found_whatever_the_other(haematoxylin, other, second) -> None:
    colour = stained(haematoxylin, other, second)
    image = np.rint(np.broadcast_to(colour, (3, 4, 3))).astype(np.uint8)
    found = mean_densities(np.ones((3, 4), np.int32), image, 1, second)
    assert found[:, 0] == pytest.approx((haematoxylin, other), abs=0.012)
    assert found.dtype == np.float32


@pytest.mark.parametrize("second", [EOSIN, DAB])
def test_the_tables_are_those_of_a_matrix_inverse(second: Vector) -> None:
    one, two = (np.array(vector) / np.linalg.norm(vector) for vector in (HAEMATOXYLIN, second))
    third = np.cross(one, two)
    shares = np.linalg.inv(np.stack([one, two, third / np.linalg.norm(third)]))[:, :2].T
    density = -np.log10(np.array([1, 1, *range(2, 256)]) / 255)
    assert np.abs(density_tables(second) - shares[..., None] * density * UNIT).max() <= 0.5001
    assert (density_tables(second)[..., 255] == 0).all()


@pytest.mark.parametrize("orientation", list(Orientation))
def test_turned_images_have_the_same_densities(orientation: Orientation) -> None:
    rng = np.random.default_rng(1)
    labels, image = rng.integers(0, 6, (30, 50)), rng.integers(0, 256, (30, 50, 3), np.uint8)
    turned = np.ascontiguousarray(orientation.apply(image))
    turned_labels = np.ascontiguousarray(orientation.apply(labels))
    straight = mean_densities(labels, image, 5, DAB)
    assert (mean_densities(turned_labels, turned, 5, DAB) == straight).all()
    assert (mean_densities(turned_labels, 255 - turned, 5, DAB) != straight).any()
