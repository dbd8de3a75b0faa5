"""The network for volumes: the paper's size, and the same answer in every orientation of the cube."""

import pytest
import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.networks.blocks import folded, plain_conv3d
from wsipipe.models.networks.r3d import GMRR3D, gmr_r3d

SMALL = {"num_classes": 3, "width": 2}


def calibrated(network: nn.Module, x: torch.Tensor) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(x)
    return network.eval()


def orientation_error(network: nn.Module, x: torch.Tensor) -> float:
    """Largest difference over two turns and a mirror, which generate all 48 orientations of the cube."""
    with torch.inference_mode():
        straight = network.cells(x).sigmoid()
        errors = []
        for axes in ((2, 3), (3, 4)):
            turned = network.cells(torch.rot90(x, 1, axes)).sigmoid()
            errors.append((torch.rot90(turned, -1, axes) - straight).abs().max())
        errors.append((network.cells(x.flip(4)).sigmoid().flip(4) - straight).abs().max())
    return float(max(errors))


def test_parameters_are_the_papers() -> None:
    assert sum(parameter.numel() for parameter in gmr_r3d(10).parameters()) == 175_804


@pytest.mark.parametrize("mode", ["radial", "index"])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_it_commutes_with_the_cube(mode: str, dtype: torch.dtype, limit: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 16, 24, 32, dtype=dtype)
    assert orientation_error(calibrated(GMRR3D(**SMALL, mode=mode).to(dtype), x), x) <= limit


def test_the_plain_twin_does_not() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 16, 24, 32)
    assert orientation_error(calibrated(GMRR3D(**SMALL, conv=plain_conv3d), x), x) > 0.05


def test_the_volumes_score_is_the_mean_of_its_cells() -> None:
    x = torch.randn(2, 1, 16, 16, 24)
    network = calibrated(GMRR3D(**SMALL), x)
    torch.testing.assert_close(network(x), network.cells(x).mean((2, 3, 4)))
    assert network.cells(x).shape == (2, 3, 2, 2, 3)
    assert (network.stride, network.lattice_px) == (8, 8)


def test_folding_changes_nothing() -> None:
    x = torch.randn(2, 1, 16, 16, 16, dtype=torch.float64)
    network = calibrated(GMRR3D(**SMALL).double(), x)
    plain = folded(network)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in plain.modules())
    torch.testing.assert_close(plain(x), network(x), rtol=0, atol=1e-10)


def test_reach_is_enough_and_needed() -> None:
    torch.manual_seed(3)
    network = GMRR3D(**SMALL).double()
    halo = network.halo_px
    x = torch.randn(1, 1, *(2 * halo + 16,) * 3, dtype=torch.float64)
    network = calibrated(network, x)
    cell, enough, less = halo // 8, slice(0, 2 * halo + 8), slice(8, 2 * halo)
    with torch.inference_mode():
        whole = network.cells(x)[..., cell, cell, cell]
        part = network.cells(x[..., enough, enough, enough])[..., cell, cell, cell]
        small = network.cells(x[..., less, less, less])[..., cell - 1, cell - 1, cell - 1]
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-12)
    assert (small - whole).abs().max() > 1e-9


def test_extents_off_the_lattice_are_refused() -> None:
    with pytest.raises(ModelError, match="16 x 16 x 24 px"):
        GMRR3D(**SMALL)(torch.zeros(1, 1, 16, 16, 20))
