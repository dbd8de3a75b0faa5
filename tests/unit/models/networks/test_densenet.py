"""The DenseNets: the paper's sizes, their symmetry, folding and reach."""

import pytest
import torch
from torch import nn

from wsipipe.models.networks.blocks import folded, plain_conv
from wsipipe.models.networks.densenet import GMRDenseNet, gmr_densenet121, gmr_densenet161

SMALL = {
    "num_classes": 3,
    "width": 4,
    "growth": 2,
    "depths": (1, 2, 1),
    "kernel_sizes": (3, 3, 3),
    "window": 1,
}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def calibrated(network: nn.Module, x: torch.Tensor) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(x)
    return network.eval()


def orientation_error(network: nn.Module, x: torch.Tensor) -> float:
    """Largest difference of the probability over a quarter turn and a mirror, which generate all eight."""
    with torch.inference_mode():
        straight = network.logit_map(x).sigmoid()
        turned = torch.rot90(network.logit_map(torch.rot90(x, 1, (2, 3))).sigmoid(), -1, (2, 3))
        mirrored = network.logit_map(x.flip(3)).sigmoid().flip(3)
    return float(max((turned - straight).abs().max(), (mirrored - straight).abs().max()))


def test_parameters_are_the_papers() -> None:
    assert parameters(gmr_densenet121(10)) == 5_677_535
    assert parameters(gmr_densenet161(10)) == 22_499_803


@pytest.mark.parametrize("mode", ["radial", "index"])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_it_commutes_with_the_eight_orientations(mode: str, dtype: torch.dtype, limit: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 56, dtype=dtype)
    assert orientation_error(calibrated(GMRDenseNet(**SMALL, mode=mode).to(dtype), x), x) <= limit


def test_the_plain_twin_does_not() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 56)
    assert orientation_error(calibrated(GMRDenseNet(**SMALL, conv=plain_conv), x), x) > 0.05


def test_folding_changes_nothing() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 24, dtype=torch.float64)
    network = calibrated(GMRDenseNet(**SMALL).double(), x)
    torch.testing.assert_close(folded(network).logit_map(x), network.logit_map(x), rtol=0, atol=1e-10)


def test_reach_is_enough_and_needed() -> None:
    """A patch of core + halo gives the core of the whole, exactly; a cell less of halo does not."""
    torch.manual_seed(3)
    network = GMRDenseNet(**SMALL).double()
    halo, cell_px = network.halo_px, network.stride
    x = torch.randn(1, 3, 2 * halo + 2 * cell_px, 2 * halo + 2 * cell_px, dtype=torch.float64)
    network = calibrated(network, x)
    cell, side = halo // cell_px, 2 * halo + cell_px
    with torch.inference_mode():
        whole = network.logit_map(x)[..., cell, cell]
        enough = network.logit_map(x[..., :side, :side])[..., cell, cell]
        less = network.logit_map(x[..., cell_px : 2 * halo, cell_px : 2 * halo])[..., cell - 1, cell - 1]
    torch.testing.assert_close(enough, whole, rtol=0, atol=1e-12)
    assert (less - whole).abs().max() > 1e-9
