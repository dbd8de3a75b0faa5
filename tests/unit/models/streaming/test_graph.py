"""Which networks can run in bands, and what their layers read."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from wsipipe.models.freeze import freeze
from wsipipe.models.kernels.layer_input import AS_IS, POOLED, UPSAMPLED
from wsipipe.models.networks.blocks import folded
from wsipipe.models.networks.densenet import GMRDenseNet
from wsipipe.models.networks.resnet import Bottleneck, GMRResNet
from wsipipe.models.networks.unet import GMRUNet
from wsipipe.models.streaming.graph import Source
from wsipipe.models.streaming.network import BandedNetwork
from wsipipe.models.streaming.reach import halo_px, reaches

pytestmark = pytest.mark.usefixtures("compiled")


def unet(**options: object) -> GMRUNet:
    return freeze(GMRUNet(widths=(16, 32), kernel_sizes=(5, 3), **options), exact=True)


def resnet(**options: object) -> GMRResNet:
    return freeze(GMRResNet(2, width=16, kernel_sizes=(3, 3), depths=(1, 1), **options), exact=True)


def test_the_layers_of_a_unet() -> None:
    layers = BandedNetwork.of(unet(), 2).layers
    assert [layer.sources for layer in layers] == [
        (Source(0, AS_IS),),
        (Source(1, AS_IS),),
        (Source(2, POOLED),),
        (Source(3, AS_IS),),
        (Source(2, AS_IS), Source(4, UPSAMPLED)),
        (Source(5, AS_IS),),
        (Source(6, AS_IS),),
    ]
    assert [layer.stride for layer in layers] == [1, 1, 2, 2, 1, 1, 1]
    assert [layer.side for layer in layers] == [5, 5, 3, 3, 5, 5, 1]
    assert [layer.relu for layer in layers] == [True] * 6 + [False]


def test_the_layers_of_a_resnet() -> None:
    layers = BandedNetwork.of(resnet(), 4).layers
    assert [(layer.sources, layer.residual) for layer in layers] == [
        ((Source(0, AS_IS),), None),
        ((Source(1, POOLED),), None),
        ((Source(2, AS_IS),), None),
        ((Source(3, AS_IS),), 2),
        ((Source(4, POOLED),), None),
        ((Source(4, POOLED),), None),
        ((Source(5, AS_IS),), 6),
    ]


@pytest.mark.parametrize("network", [unet(), resnet(), resnet(block=Bottleneck), unet(mode="index")])
def test_the_reach_followed_backwards_is_within_the_declared_halo(network: nn.Module) -> None:
    banded = BandedNetwork.of(network, network.lattice_px)
    for cells in (1, 2, 16):
        seen = halo_px(reaches(banded.layers, cells * network.lattice_px, banded.window))
        assert network.halo_px - network.lattice_px < seen <= network.halo_px


class Changed(GMRUNet):
    """A network with an operation that is no layer."""

    how = "none"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "input":
            return super().forward(x * 2)
        scores = super().forward(x)
        if self.how == "output":
            return scores - scores.mean()
        return scores.mul_(2) if self.how == "in place" else scores


@pytest.mark.parametrize(
    ("how", "covered"), [("none", True), ("input", False), ("output", False), ("in place", False)]
)
def test_an_operation_between_layers_is_found(how: str, covered: bool) -> None:
    network = freeze(Changed(widths=(16, 32), kernel_sizes=(5, 3)), exact=True)
    network.how = how
    assert (BandedNetwork.of(network, 2) is not None) == (how == "none")


class OtherMean(GMRResNet):
    """A classifier whose dense pass is not the usual mean."""

    def logit_map(self, x: torch.Tensor) -> torch.Tensor:
        return functional.max_pool2d(self.cells(x), 3, 1, 1)


@pytest.mark.parametrize(
    "network",
    [
        freeze(OtherMean(2, width=16, kernel_sizes=(3, 3), depths=(1, 1)), exact=True),
        freeze(GMRDenseNet(2, width=16, growth=8, depths=(1, 1), kernel_sizes=(3, 3)), exact=True),
        freeze(GMRUNet(widths=(4, 8), kernel_sizes=(5, 3)), exact=True),
        folded(GMRUNet(widths=(16, 32), kernel_sizes=(5, 3))),
    ],
    ids=["other mean", "concatenation", "channels off blocks", "dense"],
)
def test_other_networks_do_not_run_in_bands(network: nn.Module) -> None:
    assert BandedNetwork.of(network, network.lattice_px) is None
