"""Pretrained weights: same numbers, a new head where outputs differ, and their licence."""

import re
from pathlib import Path

import pytest
import torch

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard, Output
from wsipipe.models.networks.registry import build, load, save
from wsipipe.models.ring_whitening import add_whitening
from wsipipe.training.pretrained import inherit_licence, load_pretrained

ARGUMENTS = {"width": 4, "kernel_sizes": [3, 3, 3, 3], "window": 3}


def card_of(classes: int, **changes: object) -> ModelCard:
    return ModelCard(
        name="before",
        architecture="gmr_resnet18",
        arguments=ARGUMENTS | {"num_classes": classes},
        mode="radial",
        mpp=1.0,
        outputs=tuple(Output(name=f"c{i}", description="", color=(i, 0, 0)) for i in range(classes)),
        activation="softmax",
        sha256="0" * 64,
        data=(),
        licence="",
        non_commercial=False,
    ).model_copy(update=changes)


def fresh(classes: int, width: int = 4) -> torch.nn.Module:
    return build("gmr_resnet18", ARGUMENTS | {"num_classes": classes, "width": width}, "radial")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of a classifier of four classes, free for all but trade."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("before")
    terms = {"licence": "terms", "non_commercial": True, "data": ("crc: 9 tiles",)}
    save(fresh(4), card_of(4, **terms), folder)
    return str(folder / "before.safetensors")


def test_the_same_outputs_begin_as_the_same_function(before: str) -> None:
    torch.manual_seed(2)
    network = add_whitening(load_pretrained(fresh(4), before, "radial"), draw=False)
    x = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(x), load(before)[0](x), rtol=1e-4, atol=1e-5)


def test_fresh_weights_are_another_function(before: str) -> None:
    """The sister: without the start, or with weights drawn anew, the law above does not hold."""
    torch.manual_seed(2)
    others = [fresh(4), add_whitening(load_pretrained(fresh(4), before, "radial"))]
    x = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        wanted = load(before)[0](x)
        assert all(not torch.allclose(network.eval()(x), wanted, rtol=1e-2) for network in others)


def test_other_outputs_get_a_fresh_head(before: str) -> None:
    trained = load(before)[0].state_dict()
    network = load_pretrained(fresh(3), before, "radial").state_dict()
    same = {name for name in network if torch.equal(network[name], trained[name])}
    assert {name for name in network if name not in same} == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("width", "mode", "told"),
    [
        (8, "radial", "the first difference is at stem.conv.weight"),
        (4, "index", "Set network.mode=radial"),
    ],
)
def test_another_network_is_refused(before: str, width: int, mode: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        load_pretrained(fresh(4, width), before, mode)


def test_the_card_is_bound_by_what_came_before(before: str) -> None:
    card = inherit_licence(card_of(3, licence="CC BY 4.0", data=("own: 5 tiles",)), before)
    assert card.non_commercial
    assert card.licence == "terms and CC BY 4.0"
    assert card.data == ("own: 5 tiles", "before that, as before: crc: 9 tiles")


def test_a_free_start_binds_nothing(tmp_path: Path) -> None:
    save(fresh(4), card_of(4, licence="CC0 1.0"), tmp_path)
    card = inherit_licence(card_of(3, licence="CC BY 4.0"), str(tmp_path / "before.safetensors"))
    assert (card.licence, card.non_commercial) == ("CC BY 4.0", False)
