"""What a classifier does not know: the same cells turned, and the file of its features is the card's."""

from pathlib import Path

import numpy as np
import pytest
import torch

from wsipipe.errors import ModelError
from wsipipe.geometry import Orientation
from wsipipe.models.cards.training_range import Known
from wsipipe.models.cards.weights import check_known, find_weights, known_path, read_card
from wsipipe.models.known_features import distance, read_known, write_known
from wsipipe.models.predictor import Precision, Predictor, load_predictor

TISSUE = "tissue_gmr_resnet18_1.0"


def picture(height: int, width: int) -> np.ndarray:
    """Glass on the left, green checks that no tissue has on the right."""
    rng = np.random.default_rng(0)
    pixels = np.full((height, width, 3), 243, np.int64) + rng.integers(-3, 3, (height, width, 3))
    checks = np.kron(rng.random((height // 8, width // 8)) > 0.5, np.ones((8, 8), bool))
    checks[:, : width // 2] = False
    pixels[checks] = (40, 200, 60)
    return pixels.astype(np.uint8)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_turned_the_same_cells_are_unknown(precision: Precision) -> None:
    tissue = load_predictor(TISSUE, "cpu", precision, unknown=True)
    assert tissue.by_rings, "no ring kernel: a compiler is needed for this test"
    answer, unknown = tissue.with_unknown(picture(256, 416))
    assert unknown.shape == (16, 26)
    assert 0.05 < unknown.mean() < 0.95
    for orientation in Orientation:
        turned = np.ascontiguousarray(orientation.apply(picture(256, 416)))
        other, beyond = tissue.with_unknown(turned)
        assert np.array_equal(orientation.undo(beyond), unknown)
        assert np.array_equal(orientation.undo(other, axes=(1, 2)), answer)


def test_the_comparison_sees_another_lattice() -> None:
    """Sister test: shifted by half a cell, other cells are unknown."""
    tissue = load_predictor(TISSUE, "cpu", "float32", unknown=True)
    shifted = np.roll(picture(256, 416), 8, axis=1)
    assert not np.array_equal(
        tissue.with_unknown(shifted)[1], tissue.with_unknown(picture(256, 416))[1]
    ) or not np.array_equal(tissue(shifted), tissue(picture(256, 416)))


def test_probabilities_are_those_of_a_plain_call() -> None:
    tissue = load_predictor(TISSUE, "cpu", "float32", unknown=True)
    assert np.array_equal(tissue.with_unknown(picture(96, 128))[0], tissue(picture(96, 128)))


def test_distance_is_of_the_nearest_direction() -> None:
    known = torch.eye(3, dtype=torch.float64)[:2]
    features = torch.tensor([[3.0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 5]], dtype=torch.float64)[None, :, None]
    expected = [0, 0, 1 - np.sqrt(0.5), 1]
    assert distance(features, known).numpy()[0, 0] == pytest.approx(expected)


def test_weights_that_say_nothing_of_it_are_not_asked() -> None:
    plain: Predictor = load_predictor(TISSUE, "cpu", "float32")
    with pytest.raises(ModelError, match="does not say which features are known"):
        plain.with_unknown(picture(96, 96))
    assert read_known(find_weights("nuclei_gmr_unet_0.5"), read_card("nuclei_gmr_unet_0.5")) is None


def test_a_damaged_or_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"x")
    card = read_card(TISSUE)
    weights.with_suffix(".json").write_text(card.model_dump_json())
    with pytest.raises(ModelError, match=r"missing.*classify.unknown=false"):
        check_known(weights, card)
    sha256 = write_known(np.eye(4), weights)
    known = Known(sha256=sha256, limit=0.1, false_share=0.05)
    directions = read_known(weights, card.model_copy(update={"known": known}))
    assert directions is not None
    assert torch.equal(directions, torch.eye(4, dtype=torch.float64))
    known_path(weights).write_bytes(b"y")
    with pytest.raises(ModelError, match="not the file that the card describes"):
        check_known(weights, card.model_copy(update={"known": known}))
