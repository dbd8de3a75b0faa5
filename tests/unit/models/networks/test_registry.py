"""Weights and cards: what goes out comes back, and what is damaged is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard, Output
from wsipipe.models.cards.weights import read_card, write_card
from wsipipe.models.networks.registry import GMR_NETWORKS, NETWORKS, build, load, save, tiling_of

ARGUMENTS = {"out_channels": 2, "widths": [2, 3], "kernel_sizes": [3, 3]}


def card(**changes: object) -> ModelCard:
    fields: dict[str, object] = {
        "name": "tiny",
        "architecture": "gmr_unet",
        "arguments": ARGUMENTS,
        "mpp": 0.5,
        "outputs": (Output(name="nucleus"), Output(name="centre")),
        "activation": "sigmoid",
        "sha256": "0" * 64,
        "data": ("made",),
        "licence": "CC0",
        "non_commercial": False,
    }
    return ModelCard.model_validate(fields | changes)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save(build("gmr_unet", ARGUMENTS, "radial"), card(), tmp_path)
    return tmp_path / "tiny.safetensors"


def test_saved_weights_come_back(weights: Path) -> None:
    torch.manual_seed(0)
    network = build("gmr_unet", ARGUMENTS, "radial")
    again, found = load(weights)
    assert found.output_names == ("nucleus", "centre")
    assert not again.training
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name))


def test_half_weights_come_back_as_float32(tmp_path: Path) -> None:
    save(build("gmr_unet", ARGUMENTS, "radial"), card(), tmp_path, half=True)
    network, _ = load(tmp_path / "tiny.safetensors")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_another_files_weights_are_refused(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(ModelError, match="SHA-256"):
        load(weights)


def test_weights_that_do_not_fit_are_refused(weights: Path) -> None:
    write_card(
        read_card(weights).model_copy(update={"arguments": ARGUMENTS | {"widths": [2, 4]}}), weights.parent
    )
    with pytest.raises(ModelError, match="does not fit"):
        load(weights)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused(tmp_path: Path, value: float) -> None:
    network = build("gmr_unet", ARGUMENTS, "radial")
    with torch.no_grad():
        network.head.weight[0, 0] = value
    save(network, card(), tmp_path)
    with pytest.raises(ModelError, match="NaN"):
        load(tmp_path / "tiny.safetensors")


def test_weights_of_the_other_mode_are_refused(weights: Path) -> None:
    write_card(read_card(weights).model_copy(update={"mode": "index"}), weights.parent)
    with pytest.raises(ModelError, match=r"holds weights of mode 'radial'.* Set the card's mode"):
        load(weights)


@pytest.mark.parametrize("name", ["nuclei_gmr_unet_0.5", "tissue_gmr_resnet18_1.0"])
def test_the_weights_that_ship_load(name: str) -> None:
    network, found = load(name)
    assert tiling_of(network) == {key: getattr(found, key) for key in ("lattice_px", "halo_px", "stride")}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_says_how_it_is_tiled(name: str) -> None:
    arguments = {} if name.endswith("unet") else {"num_classes": 2}
    network = build(name, arguments, "index")
    tiling = tiling_of(network)
    assert tiling["halo_px"] > 0
    assert tiling["halo_px"] % tiling["lattice_px"] == 0
    assert tiling["lattice_px"] % tiling["stride"] == 0
    modes = {module.mode for module in network.modules() if hasattr(module, "log_sigma")}
    assert modes == ({"index"} if name in GMR_NETWORKS else set())


def test_unknown_architectures_and_arguments_are_refused() -> None:
    with pytest.raises(ModelError, match="This version has"):
        build("vit", {}, "radial")
    with pytest.raises(ModelError, match="does not take"):
        build("gmr_unet", {"depth": 3}, "radial")
