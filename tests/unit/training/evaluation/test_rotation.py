"""Rotated images: whole pixels at quarter turns, the same disc at every angle, and no cut nuclei."""

import numpy as np
import pytest
from scipy import ndimage

from wsipipe.errors import ConfigError
from wsipipe.training.evaluation.rotation import (
    MIRRORED,
    RotatableImage,
    Rotation,
    border,
    cut_labels,
    disc,
    drop_cut,
    mask_outside_disc,
    middle_square,
    pad_reflect,
    rotate_labels,
    rotations,
)


def smooth(side: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(side, side, 3)), (3, 3, 0))
    return np.clip(128 + 400 * noise, 0, 255).astype(np.uint8)


def test_a_whole_turn_in_equal_steps() -> None:
    assert [rotation.degrees for rotation in rotations(90)] == [0, 90, 180, 270]
    assert len(rotations(10)) == 36
    for step in (7.0, 0.0, -10.0):
        with pytest.raises(ConfigError, match="does not divide 360"):
            rotations(step)


@pytest.mark.parametrize("quarter", range(4))
def test_quarter_turns_move_whole_pixels(quarter: int) -> None:
    image, labels = smooth(32), np.arange(32 * 32).reshape(32, 32)
    rotation = Rotation(90.0 * quarter)
    assert (RotatableImage(image).at(rotation) == np.rot90(image, quarter)).all()
    assert (RotatableImage(image).at(rotation, 20) == np.rot90(image, quarter)[6:26, 6:26]).all()
    assert (rotate_labels(labels, rotation) == np.rot90(labels, quarter)).all()


@pytest.mark.parametrize("quarter", range(4))
def test_the_splines_turn_the_same_way(quarter: int) -> None:
    """So near a quarter turn the interpolated picture is nearly the exact one; the other way round is not."""
    image, labels = smooth(64), (smooth(64)[..., 0] > 128).astype(np.int32)
    near, exact = Rotation(90 * quarter + 0.01), Rotation(90.0 * quarter)
    gap = np.abs(RotatableImage(image).at(near).astype(int) - RotatableImage(image).at(exact))
    assert gap.max() <= 1
    assert (rotate_labels(labels, near) != rotate_labels(labels, exact))[disc(64)].mean() < 0.002
    wrong = np.abs(
        RotatableImage(image).at(Rotation(90 * quarter + 90.0)).astype(int) - RotatableImage(image).at(exact)
    )
    assert wrong.mean() > 10


def test_image_and_labels_turn_together_and_the_middle_is_the_middle() -> None:
    labels = np.zeros((80, 80), np.int32)
    labels[20:40, 30:60] = 1
    image = np.repeat((255 * (labels == 0)).astype(np.uint8)[..., None], 3, axis=2)
    for degrees in (10, 45, 130, 215.5):
        rotation = Rotation(degrees)
        shown = RotatableImage(image).at(rotation)
        assert ((shown[..., 0] < 128) == rotate_labels(labels, rotation))[disc(80)].mean() > 0.99
        assert np.abs(shown[10:70, 10:70].astype(int) - RotatableImage(image).at(rotation, 60)).max() <= 1


@pytest.mark.parametrize("rotation", MIRRORED)
def test_mirrored_is_mirrored(rotation: Rotation) -> None:
    image = smooth(24)
    flipped = image[:, ::-1] if rotation.mirror == "left-right" else image[::-1]
    assert (RotatableImage(image).at(rotation) == flipped).all()


def test_the_corners_do_not_affect_the_disc() -> None:
    image = smooth(60)
    other = np.where(disc(60)[..., None], image, 7)
    for degrees in (0, 90):
        assert (
            mask_outside_disc(RotatableImage(image).at(Rotation(degrees)))
            == mask_outside_disc(RotatableImage(other).at(Rotation(degrees)))
        ).all()
    assert (mask_outside_disc(image)[0, 0] == 255).all()
    for mask in (disc(60), border(60)):
        assert (np.rot90(mask) == mask).all()
        assert (mask[::-1] == mask).all()


def test_a_middle_square_is_even_and_central() -> None:
    image = np.arange(9 * 14).reshape(9, 14)
    square = middle_square(image)
    assert square.shape == (8, 8)
    assert square[0, 0] == image[0, 3]
    assert middle_square(image, 5).shape == (4, 4)


def test_a_tile_continues_by_reflection() -> None:
    tile = smooth(20)[:, :16]
    plane = pad_reflect(tile, 53)
    assert plane.shape == (54, 54, 3)
    assert (plane[17:37, 19:35] == tile).all()
    assert (plane[17:37, 18] == tile[:, 0]).all()


def square(labels: np.ndarray, number: int, y: int, x: int, side: int = 8) -> None:
    labels[y : y + side, x : x + side] = number


def test_nuclei_that_the_border_cuts_count_on_neither_side() -> None:
    field, found = np.zeros((2, 100, 100), np.int32)
    square(field, 1, 46, 46)
    square(field, 2, 46, -4 % 100 - 4)  # cut: it ends at the right side
    square(field, 3, 2, 2)  # in a corner: never seen
    square(found, 7, 46, 46)
    square(found, 8, 46, 90)
    truth = np.where(disc(100), field, 0)
    found = np.where(disc(100), found, 0)
    assert set(cut_labels(field)) == {0, 2, 3}
    kept_truth, kept_found = drop_cut(truth, found, cut_labels(field))
    assert set(np.unique(kept_truth)) == {0, 1}
    assert set(np.unique(kept_found)) == {0, 7}


def test_what_is_found_elsewhere_stays_a_mistake() -> None:
    field, found = np.zeros((2, 100, 100), np.int32)
    square(field, 1, 46, 46)
    square(found, 9, 70, 46)
    _, kept = drop_cut(field, found, cut_labels(field))
    assert set(np.unique(kept)) == {0, 9}
