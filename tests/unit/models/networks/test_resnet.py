"""The ResNet: the paper's size, the dense pass, its reach and its symmetry."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from wsipipe.errors import ModelError
from wsipipe.models.networks.blocks import folded, plain_conv
from wsipipe.models.networks.resnet import Bottleneck, GMRResNet18, gmr_resnet34, gmr_resnet50, resnet_halo

SMALL = {"num_classes": 3, "width": 4, "window": 3}


def calibrated(network: nn.Module, x: torch.Tensor) -> nn.Module:
    """Norms set from one batch, so that features are of usual size."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(x)
    return network.eval()


def orientation_error(network: GMRResNet18, x: torch.Tensor) -> float:
    """Largest difference over the eight orientations, of the probability."""

    def scores(image: torch.Tensor) -> torch.Tensor:
        return network.logit_map(image).sigmoid()

    straight, errors = scores(x), []
    for turns in range(4):
        turned = torch.rot90(x, turns, dims=(2, 3))
        errors.append((torch.rot90(scores(turned), -turns, dims=(2, 3)) - straight).abs().max())
        mirrored = scores(turned.flip(3)).flip(3)
        errors.append((torch.rot90(mirrored, -turns, dims=(2, 3)) - straight).abs().max())
    return float(torch.stack(errors).max())


def test_parameters_are_the_papers() -> None:
    def count(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    assert count(GMRResNet18(10)) == 3_996_685
    assert count(gmr_resnet34(10)) == 7_518_537
    assert count(gmr_resnet50(10)) == 16_130_571
    assert count(gmr_resnet50(1000)) == 18_159_081


@pytest.mark.parametrize("deeper", [{}, {"depths": (1, 2, 1, 1), "block": Bottleneck, "mode": "index"}])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_it_commutes_with_the_eight_orientations(
    deeper: dict[str, object], dtype: torch.dtype, limit: float
) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 64, 112, dtype=dtype)
    network = calibrated(GMRResNet18(**SMALL, **deeper).to(dtype), x)
    with torch.inference_mode():
        assert orientation_error(network, x) <= limit


def test_the_plain_twin_does_not() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 64, 112)
    network = calibrated(GMRResNet18(**SMALL, kernel_sizes=(3, 3, 3, 3), conv=plain_conv), x)
    with torch.inference_mode():
        assert orientation_error(network, x) > 0.05


def test_the_tile_score_is_the_mean_of_its_cells() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 64, 48)
    network = calibrated(GMRResNet18(**SMALL), x)
    features = network.blocks(functional.avg_pool2d(functional.relu(network.stem(x)), 2))
    torch.testing.assert_close(network(x), network.head(features.mean(dim=(2, 3))), rtol=1e-5, atol=1e-5)
    assert network.logit_map(x).shape == (2, 3, 4, 3)


def test_folding_changes_nothing() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 64, 48, dtype=torch.float64)
    network = calibrated(GMRResNet18(**SMALL).double(), x)
    torch.testing.assert_close(folded(network).logit_map(x), network.logit_map(x), rtol=0, atol=1e-10)


def test_extents_off_the_lattice_are_refused() -> None:
    with pytest.raises(ModelError, match="multiples of 16"):
        GMRResNet18(**SMALL)(torch.zeros(1, 3, 64, 56))


def test_one_kernel_size_a_stage_is_asked_for() -> None:
    with pytest.raises(ModelError, match="one for each stage"):
        GMRResNet18(3, kernel_sizes=(9, 9, 5))
    with pytest.raises(ModelError, match="odd side"):
        GMRResNet18(3, kernel_sizes=(9, 9, 5, 4))


def test_reach_is_the_measured_one_and_the_window() -> None:
    assert resnet_halo((9, 9, 5, 5), 1) == 304
    assert resnet_halo((9, 9, 5, 5), 7) == 352


@pytest.mark.parametrize("deeper", [{}, {"depths": (1, 2, 2, 1), "block": Bottleneck}])
def test_reach_is_enough_and_needed(deeper: dict[str, object]) -> None:
    """A patch of core + halo gives the core of the whole, exactly; a cell less of halo does not."""
    torch.manual_seed(3)
    small = {"num_classes": 2, "width": 4, "kernel_sizes": (3, 3, 3, 3), "window": 1}
    network = GMRResNet18(**small, **deeper).double()
    halo = network.halo_px
    x = torch.randn(1, 3, 2 * halo + 64, 2 * halo + 64, dtype=torch.float64)
    network = calibrated(network, x)
    cell = halo // 16
    with torch.inference_mode():
        whole = network.logit_map(x)[..., cell, cell]
        enough = network.logit_map(x[..., : 2 * halo + 16, : 2 * halo + 16])[..., cell, cell]
        less = network.logit_map(x[..., 16 : 2 * halo, 16 : 2 * halo])[..., cell - 1, cell - 1]
    torch.testing.assert_close(enough, whole, rtol=0, atol=1e-12)
    assert (less - whole).abs().max() > 1e-9
