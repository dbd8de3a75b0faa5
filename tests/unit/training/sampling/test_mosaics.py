"""Mosaics: labelled tiles in place, every class, one scale."""

import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.training.recipe import Augment, Sampling
from wsipipe.training.samples import Tile
from wsipipe.training.sampling.mosaics import TileMosaics, class_layout, mosaic, square

STILL = Augment(stain=0, scale=0, blur=0, jpeg=0, noise=0)
CLASSES = ("A", "BACK", "C")


def tile(value: int, class_name: str = "A", side: int = 108, mpp: float = 1.037) -> Tile:
    image = np.full((side, side, 3), value, np.uint8)
    return Tile(
        name=f"{class_name}{value}", source="made", group="g", image=image, class_name=class_name, mpp=mpp
    )


TILES = [tile(20, "A"), tile(230, "BACK"), tile(120, "C")]


def test_canvases_are_made_of_labelled_tiles() -> None:
    canvases = TileMosaics(TILES, CLASSES, 1.0, Sampling(batch=3, side_px=112, tiles=3), STILL)
    batch = canvases(np.random.default_rng(0))
    assert batch["image"].shape == (3, 336, 336, 3)
    assert batch["label"].shape == (3, 3, 3)
    middles = batch["image"][:, 56::112, 56::112, 0]
    for label, value in ((0, 20), (2, 120)):
        assert (middles[batch["label"] == label] == value).all()
    assert (middles[batch["label"] == 1] > 180).all()
    assert len(batch["name"][0].split()) == 9


def test_tiles_rotate_only_if_requested() -> None:
    image = np.full((160, 160, 3), 250, np.uint8)
    image[:80] = 30
    half = Tile(name="half", source="s", group="g", image=image, class_name="A", mpp=1.0)
    samples = Sampling(batch=8, side_px=64, tiles=1)
    found = {}
    for geometric in (False, True):
        changes = STILL.model_copy(update={"geometric": geometric})
        images = TileMosaics([half], ["A"], 1.0, samples, changes)(np.random.default_rng(0))["image"]
        left, right = images[:, :, :20].mean((1, 2, 3)), images[:, :, -20:].mean((1, 2, 3))
        found[geometric] = float(np.abs(left - right).max())
    assert found[False] < 1
    assert found[True] > 50


def test_a_class_without_tiles_is_refused() -> None:
    with pytest.raises(ConfigError, match="no tile of C"):
        TileMosaics(TILES[:2], CLASSES, 1.0, Sampling(), STILL)


def test_layouts_hold_every_class_and_sometimes_a_glass_border() -> None:
    rng = np.random.default_rng(0)
    layouts = [class_layout(3, 8, 1, rng) for _ in range(60)]
    assert set(np.concatenate([one.ravel() for one in layouts]).tolist()) == set(range(8))
    around = [np.delete(one.ravel(), 4) for one in layouts]
    assert 2 < sum((edge == 1).all() for edge in around) < 25


@pytest.mark.parametrize("side", [100, 108, 200])
def test_a_tile_becomes_112_px(side: int) -> None:
    one = tile(7, side=side)
    for rng in (None, np.random.default_rng(0)):
        found = square(one, 1.0, 112, rng, 0.2)
        assert found.shape == (112, 112, 3)
        assert (found == 7).all()


def test_a_tile_s_own_scale_counts() -> None:
    image = np.full((64, 64, 3), 250, np.uint8)
    image[24:40, 24:40] = 0
    tiles = [
        Tile(name="t", source="s", group="g", image=image, class_name="A", mpp=mpp) for mpp in (0.5, 1.0)
    ]
    areas = [int((square(one, 0.5, 32)[..., 0] < 128).sum()) for one in tiles]
    assert areas[0] == pytest.approx(16**2, abs=20)
    assert areas[1] == pytest.approx(32**2, abs=1)


def test_a_mosaic_has_its_rows_in_order() -> None:
    rows = [[np.full((2, 2, 3), 2 * row + column, np.uint8) for column in range(2)] for row in range(2)]
    assert mosaic(rows)[::2, ::2, 0].tolist() == [[0, 1], [2, 3]]
