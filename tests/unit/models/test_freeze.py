"""Frozen networks: the same result, faster; with exact pooling, the same bits in all eight orientations."""

import math

import pytest
import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.freeze import freeze
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.kernels.ring_layer import RingConv2d
from wsipipe.models.networks.blocks import folded
from wsipipe.models.networks.resnet import GMRResNet18
from wsipipe.models.networks.unet import GMRUNet

pytestmark = pytest.mark.usefixtures("compiled")
TURNS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


def oriented(x: torch.Tensor, turns: int, mirrored: bool) -> torch.Tensor:
    turned = torch.rot90(x, turns, dims=(-2, -1))
    return turned.flip(-1) if mirrored else turned


def with_statistics(network: nn.Module) -> nn.Module:
    torch.manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
    return network.eval()


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
@pytest.mark.parametrize(
    "make", [lambda: GMRUNet(widths=(8, 16), kernel_sizes=(9, 5)), lambda: GMRResNet18(4, 8)]
)
def test_a_frozen_network_computes_the_same(
    make: object, dtype: torch.dtype, tolerance: float, exact: bool
) -> None:
    network, x = with_statistics(make()), torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        expected = network(x)
        found = freeze(network, dtype, exact=exact)(x.to(dtype))
    assert found.dtype == dtype
    assert float((found - expected).abs().max()) <= tolerance * float(expected.abs().max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_whole_network_is_bitwise_equivariant_in_inference_mode(dtype: torch.dtype) -> None:
    network = freeze(with_statistics(GMRUNet(widths=(8, 16, 24), kernel_sizes=(9, 5, 5))), dtype, exact=True)
    x = torch.rand(1, 3, 40, 56).to(dtype)
    with torch.inference_mode():
        out = network(x)
        assert all(torch.equal(network(oriented(x, *turn)), oriented(out, *turn)) for turn in TURNS)


def test_folded_into_plain_convolutions_it_is_not() -> None:
    network = folded(with_statistics(GMRUNet(widths=(8, 16, 24), kernel_sizes=(9, 5, 5))))
    x = torch.rand(1, 3, 40, 56)
    with torch.inference_mode():
        out = network(x)
        assert not all(torch.equal(network(oriented(x, *turn)), oriented(out, *turn)) for turn in TURNS)


def test_other_padding_is_kept() -> None:
    layer = GMRConv2d(3, 4, 5, padding_mode="reflect", impl="dense")
    frozen = freeze(nn.Sequential(layer), exact=True)
    assert isinstance(frozen[0], RingConv2d)
    x = torch.randn(1, 3, 12, 12)
    torch.testing.assert_close(frozen(x), layer(x), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_exact_is_refused() -> None:
    with pytest.raises(ModelError, match="exact=False"):
        freeze(nn.Sequential(GMRConv2d(4, 4, 5, groups=2)), exact=True)


def test_nan_weights_are_refused() -> None:
    layer = GMRConv2d(3, 4, 5)
    with torch.no_grad():
        layer.weight[0, 0, 0] = math.nan
    with pytest.raises(ModelError, match="NaN"):
        freeze(nn.Sequential(layer), exact=True)
