"""Outputs for tiles: those of the middle cell, the same bits at the eight orientations."""

import numpy as np
import pytest

from wsipipe.errors import ModelError
from wsipipe.models.cards.weights import read_card
from wsipipe.training.evaluation.rotation import MIRRORED, Rotation, rotations
from wsipipe.training.evaluation.tile_outputs import CONTEXT_PX, TileClassifier
from wsipipe.training.samples import Tile

CARD = read_card("tissue_gmr_resnet18_1.0")


class Means:
    """Eight 'probabilities' of each 16 px cell: its mean red, twice over, and so on."""

    halo_px, lattice_px, stride = 16, 16, 16

    def __call__(self, patch: np.ndarray) -> np.ndarray:
        self.shape = patch.shape[:2]
        height, width = (extent // 16 for extent in self.shape)
        red = patch[..., 0].astype(np.int64).reshape(height, 16, width, 16).sum(axis=(1, 3)) / 256 / 255
        return np.repeat(red[None].astype(np.float32), 8, axis=0)


def tile(height: int = 112, width: int = 112, mpp: float = 1.0, seed: int = 0) -> Tile:
    image = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return Tile(name="made", source="made", group="a", image=image, class_name="TUM", mpp=mpp)


def test_the_middle_cell_answers() -> None:
    predict, one = Means(), tile()
    classifier = TileClassifier(predict, CARD)
    prediction = classifier.classify(classifier.prepare(one), Rotation())
    assert predict.shape == (112 + 2 * CONTEXT_PX,) * 2
    assert prediction == pytest.approx(one.image[48:64, 48:64, 0].mean() / 255)


@pytest.mark.parametrize("sides", [(112, 112), (108, 100), (101, 90), (224, 224)])
@pytest.mark.parametrize("mpp", [1.0, 1.037, 0.5])
def test_the_eight_orientations_are_the_same_to_the_bit(sides: tuple[int, int], mpp: float) -> None:
    classifier = TileClassifier(Means(), CARD)
    shown = classifier.prepare(tile(*sides, mpp))
    straight = classifier.classify(shown, Rotation())
    for rotation in (*rotations(90), *MIRRORED):
        assert (classifier.classify(shown, rotation) == straight).all()


def test_no_empty_corner_at_any_angle() -> None:
    """A grey tile on its plane stays grey all over the canvas, so nothing but tissue is ever shown."""
    grey = np.full((100, 108, 3), 90, np.uint8)
    one = Tile(name="grey", source="made", group="a", image=grey, class_name="TUM", mpp=1.037)
    shown = TileClassifier(Means(), CARD).prepare(one)
    for degrees in (0, 30, 45, 100):
        assert (shown.at(Rotation(degrees)) == 90).all()


def test_the_tile_is_in_the_middle_at_its_size() -> None:
    one = Tile(
        name="spot", source="made", group="a", class_name="TUM", mpp=0.5,
        image=np.pad(np.zeros((32, 32, 3), np.uint8), ((96, 96), (96, 96), (0, 0)), constant_values=255),
    )  # fmt: skip
    classifier = TileClassifier(Means(), CARD)
    assert classifier.classify(classifier.prepare(one), Rotation()) == pytest.approx(0, abs=1e-6)


def test_a_network_that_does_not_classify_is_refused() -> None:
    with pytest.raises(ModelError, match="not classes"):
        TileClassifier(Means(), read_card("nuclei_gmr_unet_0.5"))
