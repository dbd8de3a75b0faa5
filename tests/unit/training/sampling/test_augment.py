"""Augmentation: same kind of image, other colours, repeatable, and no geometry unless requested."""

import numpy as np
import pytest

from wsipipe.training.recipe import Augment
from wsipipe.training.sampling import augment

ALWAYS = Augment(blur=1, jpeg=1, noise=1)
NEVER = Augment(blur=0, jpeg=0, noise=0)


def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.clip(rng.normal((200, 140, 180), 20, (32, 40, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "change", [augment.stain, lambda image, rng: augment.optics(image, rng, ALWAYS)], ids=["stain", "optics"]
)
def test_the_generator_alone_decides(change: object) -> None:
    change(picture(), np.random.default_rng(1))
    first, again, other = (change(picture(), np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first.shape == picture().shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_has_no_chance_does_not_happen() -> None:
    np.testing.assert_array_equal(augment.optics(picture(), np.random.default_rng(0), NEVER), picture())


@pytest.mark.parametrize("name", ["blur", "jpeg", "noise"])
def test_each_change_happens_by_itself(name: str) -> None:
    alone = NEVER.model_copy(update={name: 1.0})
    changed = augment.optics(picture(), np.random.default_rng(0), alone).astype(int) - picture()
    assert 0.2 < np.abs(changed).mean() < 20


def test_geometry_is_unchanged_unless_requested() -> None:
    image = np.full((64, 64, 3), 240, np.uint8)
    image[20:30, 8:18] = 60
    for seed in range(20):
        rng = np.random.default_rng(seed)
        dark = np.argwhere(augment.optics(augment.stain(image, rng), rng, ALWAYS).mean(2) < 150)
        np.testing.assert_allclose(dark.mean(0), (24.5, 12.5), atol=0.3)


def test_image_and_maps_turn_alike() -> None:
    side, wide = 40, augment.rotation_px(40)
    image = np.full((wide, wide, 3), 255, np.uint8)
    image[10:25, 18:40] = 0
    maps = np.stack([image[..., 0] == 0, np.ones((wide, wide), bool)], axis=-1).astype(np.uint8)
    found = [augment.rotated(image, maps, side, np.random.default_rng(seed)) for seed in range(8)]
    for turned, mask in found:
        assert turned.shape == (side, side, 3)
        assert ((turned[..., 0] < 128) != (mask[..., 0] > 0)).mean() < 0.05
        assert (mask[..., 1] == 1).all()
    places = {tuple(np.argwhere(mask[..., 0]).mean(0).round()) for _, mask in found}
    assert len(places) > 4


def test_maps_take_the_nearest_px() -> None:
    side, wide = 40, augment.rotation_px(40)
    maps = np.where(np.indices((wide, wide)).sum(0) % 7 < 3, 250, 3).astype(np.uint8)[..., None]
    found = [
        augment.rotated(np.repeat(maps, 3, 2), maps, side, np.random.default_rng(seed)) for seed in range(4)
    ]
    for image, mask in found:
        assert set(np.unique(mask)) == {3, 250}
        # The image is interpolated, so that the check above can fail.
        assert len(np.unique(image)) > 2


def test_half_of_the_results_are_mirrored() -> None:
    side, wide = 40, augment.rotation_px(40)
    maps = np.zeros((wide, wide, 1), np.uint8)
    middle = wide // 2
    maps[middle - 8 : middle + 8, middle : middle + 3] = 1  # an L
    maps[middle + 5 : middle + 8, middle : middle + 9] = 2
    signs = []
    for seed in range(40):
        _, mask = augment.rotated(np.repeat(maps, 3, 2), maps, side, np.random.default_rng(seed))
        ends = [np.argwhere(mask[..., 0] == value).mean(0) - side / 2 for value in (1, 2)]
        signs.append(np.sign(ends[0][0] * ends[1][1] - ends[0][1] * ends[1][0]))
    assert 10 <= signs.count(1) <= 30
    assert signs.count(1) + signs.count(-1) == 40


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
