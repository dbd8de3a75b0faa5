"""Any ONNX network is exactly invariant with ``symmetrise``, and what does not fit its card is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wsipipe.errors import ModelError
from wsipipe.geometry import Array, Orientation
from wsipipe.models.cards.onnx_card import OnnxCard
from wsipipe.models.foreign.predictor import OnnxPredictor

MakeCard = Callable[..., OnnxCard]
SIDES = [(12, 12), (16, 20)]


def patch(seed: int, shape: tuple[int, int]) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def differ(predict: OnnxPredictor, seed: int, shape: tuple[int, int]) -> list[Orientation]:
    """Orientations whose maps are not the rotated maps, bit for bit."""
    upright = predict(patch(seed, shape))
    return [
        orientation
        for orientation in Orientation
        if not np.array_equal(
            orientation.undo(predict(orientation.apply(patch(seed, shape))), axes=(1, 2)), upright
        )
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "probabilities"])
def test_symmetrised_maps_turn_with_the_patch(
    fake_session: Any, onnx_card: MakeCard, seed: int, kind: str
) -> None:
    how = {"activation": "softmax"} if kind == "softmax" else {}
    network = fake_session(seed)
    if kind == "probabilities":
        how, network.change = {"values": "probabilities"}, lambda maps: np.abs(np.sin(maps))
    predict = OnnxPredictor(network, onnx_card(symmetrise=True, **how), threads=1 + seed % 2)
    for shape in SIDES:
        assert differ(predict, seed, shape) == []


def test_sister_without_symmetrise_they_do_not(fake_session: Any, onnx_card: MakeCard) -> None:
    predict = OnnxPredictor(fake_session(), onnx_card())
    assert differ(predict, 0, (16, 16)) == [each for each in Orientation if each is not Orientation.R0]


def test_sister_a_plain_mean_depends_on_its_order(fake_session: Any, onnx_card: MakeCard) -> None:
    predict = OnnxPredictor(fake_session(), onnx_card())

    def mean(image: Array) -> Array:
        maps = [each.undo(predict(each.apply(image)), axes=(1, 2)) for each in Orientation]
        return sum(maps) / np.float32(8)

    image = patch(0, (40, 40))
    backs = [each.undo(mean(each.apply(image)), axes=(1, 2)) for each in Orientation]
    assert not all(np.array_equal(back, backs[0]) for back in backs)
    np.testing.assert_allclose(backs, [backs[0]] * 8, atol=1e-6)


def test_symmetrise_is_the_mean_of_the_eight(fake_session: Any, onnx_card: MakeCard) -> None:
    image = patch(1, (16, 24))
    predict = OnnxPredictor(fake_session(), onnx_card())
    mean = np.mean([each.undo(predict(each.apply(image)), axes=(1, 2)) for each in Orientation], axis=0)
    found = OnnxPredictor(fake_session(), onnx_card(symmetrise=True))(image)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, mean, atol=1e-6)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_pixels_enter_as_the_card_says(fake_session: Any, onnx_card: MakeCard, channels: str) -> None:
    how = {"mean": [0.5, 0.25, 0.0], "sd": [0.5, 1.0, 2.0], "channels": channels}
    network = fake_session()
    OnnxPredictor(network, onnx_card(normalisation=how))(np.full((4, 4, 3), (255, 51, 0), np.uint8))
    red, green, blue = network.seen[0][:, 0, 0] if channels == "RGB" else network.seen[0][::-1, 0, 0]
    expected = (1.0, -0.05, 0.0) if channels == "RGB" else (0.5, -0.05, -1.0)
    np.testing.assert_allclose((red, green, blue), expected, atol=1e-7)


def test_pixels_of_minus_one_to_one(fake_session: Any, onnx_card: MakeCard) -> None:
    network = fake_session()
    OnnxPredictor(network, onnx_card(normalisation={"offset": 127.5, "scale": 127.5}))(
        np.full((4, 4, 3), 255, np.uint8)
    )
    assert (network.seen[0] == 1).all()


@pytest.mark.parametrize(
    ("changes", "score", "expected"),
    [
        ({}, 2.0, [0.8807971, 0.8807971]),
        ({"temperature": 2.0}, 2.0, [0.7310586, 0.7310586]),
        ({"activation": "softmax"}, 2.0, [0.5, 0.5]),
        ({"values": "probabilities"}, 0.25, [0.25, 0.25]),
        ({"values": "probabilities"}, 1.00001, [1.0, 1.0]),
    ],
)
def test_scores_become_probabilities(
    fake_session: Any, onnx_card: MakeCard, changes: dict, score: float, expected: list[float]
) -> None:
    network = fake_session(change=lambda maps: np.full_like(maps, score))
    found = OnnxPredictor(network, onnx_card(**changes))(patch(0, (4, 4)))
    np.testing.assert_allclose(found[:, 0, 0], expected, atol=1e-6)


def failing(maps: Array) -> Array:
    raise RuntimeError("Non-zero status code\nlong trace")


@pytest.mark.parametrize(
    ("change", "changes", "message"),
    [
        (lambda maps: maps[..., :-1], {}, r"changes the shape: .*8 x 12 px gave \(1, 2, 8, 11\)"),
        (lambda maps: maps[..., 2:-2, 2:-2], {}, "export the network with padding"),
        (lambda maps: maps[:, :1], {}, r"gave \(1, 1, 8, 12\).*promises \(1, 2, 8, 12\)"),
        (lambda maps: maps.mean(axis=(2, 3)), {}, r"gave \(1, 2\)"),
        (lambda maps: maps * np.nan, {}, "holds NaN or infinity"),
        (lambda maps: maps + np.inf, {"symmetrise": True}, "holds NaN or infinity"),
        (lambda maps: maps * 0 + 1.1, {"values": "probabilities"}, 'between 1.1 and 1.1.*"values": "scores"'),
        (failing, {}, r"failed on an image of 8 x 12 px: Non-zero status code\. Check .*lattice_px 4"),
    ],
)
def test_outputs_that_break_the_cards_promise_are_refused(
    fake_session: Any, onnx_card: MakeCard, change: Callable, changes: dict, message: str
) -> None:
    predict = OnnxPredictor(fake_session(change=change), onnx_card(**changes))
    with pytest.raises(ModelError, match=message):
        predict(patch(0, (8, 12)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8), np.uint8), "Give RGB"),
        (np.zeros((8, 8, 3), np.float32), "Give RGB"),
        (np.zeros((8, 10, 3), np.uint8), "does not take 8 x 10 px. Give multiples of 4 px"),
    ],
)
def test_other_patches_are_refused(
    fake_session: Any, onnx_card: MakeCard, image: Array, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        OnnxPredictor(fake_session(), onnx_card())(image)


def test_it_has_no_known_features(fake_session: Any, onnx_card: MakeCard) -> None:
    with pytest.raises(ModelError, match="does not say which features are known"):
        OnnxPredictor(fake_session(), onnx_card()).with_unknown(patch(0, (4, 4)))
