"""Texture of nuclei: known values, scikit-image's, and the same bits in every orientation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import shannon_entropy

from wsipipe.geometry import Orientation
from wsipipe.stages.nuclei.texture import HOMOGENEITY, UNIT, Texture, textures

FEW = settings(max_examples=40, deadline=None)


def grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(levels, np.uint8)[..., None], 3, axis=2)


def noise(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three labels full of gaps, and colours."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (11, 17)).astype(np.int32)
    labels[0, :3] = (1, 2, 3)
    return labels, rng.integers(0, 256, (11, 17, 3), np.uint8)


def bits(found: Texture) -> list[bytes]:
    return [each.tobytes() for each in found]


def test_a_checkerboard_has_the_values_of_paper_and_pencil() -> None:
    found = textures(np.ones((2, 2), np.int32), grey([[0, 100], [100, 0]]), 1)
    # Four pairs beside and below with a difference of 100, two diagonal ones with none.
    assert found.deviation[0] == 50
    assert found.entropy[0] == 1
    assert found.contrast[0] == 4 * 100**2 / 6
    assert found.homogeneity[0] == (4 * HOMOGENEITY[100] / UNIT + 2) / 6
    assert found.correlation[0] == pytest.approx(1 - 4 * 100**2 / 6 / (2 * 50**2))


def test_without_differences_or_pairs_values_are_absent() -> None:
    found = textures(np.array([[1, 1, 0, 2]], np.int32), grey([[7, 7, 0, 9]]), 2)
    assert found.deviation.tolist() == [0, 0]
    assert found.entropy.tolist() == [0, 0]
    assert found.contrast[0] == 0
    assert found.homogeneity[0] == 1
    assert np.isnan(found.correlation).all()
    assert np.isnan([found.contrast[1], found.homogeneity[1]]).all()


def test_a_rectangle_has_the_values_of_scikit_image() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (12, 9), np.uint8)
    found = textures(np.ones(levels.shape, np.int32), grey(levels), 1)
    matrix = graycomatrix(levels, [1], [0, np.pi / 2], symmetric=True).sum(axis=3, keepdims=True)
    diagonal = graycomatrix(levels, [2**0.5], [np.pi / 4, 3 * np.pi / 4], symmetric=True)
    matrix = matrix + diagonal.sum(axis=3, keepdims=True)
    matrix = matrix / matrix.sum()
    names = ("contrast", "homogeneity", "correlation")
    assert [getattr(found, name)[0] for name in names] == pytest.approx(
        [graycoprops(matrix, name)[0, 0] for name in names], rel=1e-3
    )
    assert found.deviation[0] == pytest.approx(levels.std())
    assert found.entropy[0] == pytest.approx(shannon_entropy(levels // 16), abs=1e-4)


@FEW
@given(st.integers(0, 2**31), st.sampled_from(Orientation))
def test_textures_are_the_same_to_the_last_bit_in_every_orientation(seed: int, orientation) -> None:
    labels, image = noise(seed)
    turned = [np.ascontiguousarray(orientation.apply(each)) for each in (labels, image)]
    assert bits(textures(*turned, 3)) == bits(textures(labels, image, 3))


def test_the_neighbours_of_a_pixel_matter() -> None:
    labels, image = noise(3)
    shuffled = np.random.default_rng(0).permutation(image.reshape(-1, 3)).reshape(image.shape)
    assert bits(textures(labels, shuffled, 3)) != bits(textures(labels, image, 3))
