"""Augmentation: same kind out, other colours, repeatable, and no geometry."""

import numpy as np
import pytest

from wsipipe.training import augment


def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.clip(rng.normal((200, 140, 180), 20, (32, 40, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [augment.stain, augment.optics])
def test_the_same_seed_gives_the_same_picture(change: object) -> None:
    first, again = (change(picture(), np.random.default_rng(5)) for _ in range(2))
    assert first.shape == picture().shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)


def test_stains_differ_widely_but_dark_stays_dark() -> None:
    rng = np.random.default_rng(1)
    means = np.array([augment.stain(picture(), rng).mean((0, 1)) for _ in range(50)])
    assert means.std(0).min() > 5
    two = np.array([[[60, 40, 110], [235, 190, 215]]], np.uint8)
    darker = [np.diff(augment.stain(two, rng).astype(int).sum(2)[0])[0] > 0 for _ in range(50)]
    assert all(darker)


def test_glass_is_bright() -> None:
    rng = np.random.default_rng(2)
    assert min(np.median(augment.glass(64, rng)) for _ in range(20)) > 190
