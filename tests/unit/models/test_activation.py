"""Cards with types of nuclei, and the probabilities of their networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from wsipipe.models.activation import activated
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import read_card, write_card
from wsipipe.models.conversion.deployment import ExportedNetwork
from wsipipe.models.networks.registry import build
from wsipipe.models.predictor import Predictor

ABOUT = {"name": "typed", "architecture": "gmr_unet", "arguments": {}, "mpp": 0.5, "sha256": "0" * 64}
ABOUT |= {"data": ("none",), "licence": "none", "non_commercial": False, "temperature": 2.0}


def card(
    *types: str, outputs: tuple[str, ...] = ("nucleus", "centre", "a", "b", "c"), **more: str
) -> ModelCard:
    named = [{"name": name} for name in outputs]
    return ModelCard(**{"activation": "sigmoid", "outputs": named, "types": types} | ABOUT | more)


def test_maps_are_independent_and_types_exclude_each_other() -> None:
    scores = torch.randn(1, 5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = activated(scores, card("a", "b", "c"))
    assert torch.equal(found[:, :2], (scores[:, :2] / 2).sigmoid())
    assert torch.equal(found[:, 2:], scores[:, 2:].softmax(1))
    assert torch.allclose(found[:, 2:].sum(1), torch.ones(1, 3, 4, dtype=torch.float64))
    assert torch.equal(activated(scores, card()), (scores / 2).sigmoid())
    assert torch.equal(activated(scores, card(activation="softmax")), (scores / 2).softmax(1))


def test_predictor_and_exported_network_agree_on_types() -> None:
    torch.manual_seed(0)
    network = build(
        "gmr_unet", {"widths": [4, 8], "kernel_sizes": [3, 3], "out_channels": 5}, "radial"
    ).eval()
    typed = card("a", "b", "c")
    patch = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    found = Predictor(network, typed, "cpu", "float32")(patch)
    image = torch.from_numpy(patch).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        exported = ExportedNetwork(network, typed, tile=False)(image)[0].numpy()
    np.testing.assert_allclose(exported, found, atol=1e-4)
    np.testing.assert_allclose(found[2:].sum(0), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("types", "more", "message"),
    [
        (("b", "a"), {}, "must be the last of the outputs"),
        (("a", "b"), {}, "must be the last of the outputs"),
        (("b", "c", "x"), {}, "must be the last of the outputs"),
        (("a", "b", "c"), {"activation": "softmax"}, "with activation sigmoid"),
        (("nucleus", "a"), {"outputs": ("nucleus", "a")}, "after nucleus and centre"),
        (("c",), {}, "two or more names"),
        (("a", "a"), {"outputs": ("nucleus", "centre", "a", "a")}, "each once"),
    ],
)
def test_types_that_do_not_fit_the_outputs_are_refused(types: tuple, more: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        card(*types, **more)


def test_cards_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "typed.safetensors").write_bytes(b"")
    for one in (card("a", "b", "c"), card()):
        path = write_card(one, tmp_path)
        assert read_card(tmp_path / "typed.safetensors") == one
        assert ('"types"' in path.read_text()) == bool(one.types)
