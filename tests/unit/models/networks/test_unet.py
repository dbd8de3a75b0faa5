"""The U-Net: the paper's size, its reach, and its symmetry; the plain twin has none."""

import pytest
import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.networks.blocks import folded, plain_conv
from wsipipe.models.networks.unet import GMRUNet, unet_halo

SMALL = {"widths": (4, 6, 8, 10), "out_channels": 2}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def calibrated(network: nn.Module, x: torch.Tensor) -> nn.Module:
    """Norms set from one batch, so that features are of usual size."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(x)
    return network.eval()


def orientation_error(network: nn.Module, x: torch.Tensor) -> float:
    """Largest difference over the eight orientations, of the probability."""

    def scores(image: torch.Tensor) -> torch.Tensor:
        return network(image).sigmoid()

    straight = scores(x)
    errors = []
    for turns in range(4):
        turned = torch.rot90(x, turns, dims=(2, 3))
        errors.append((torch.rot90(scores(turned), -turns, dims=(2, 3)) - straight).abs().max())
        errors.append(
            (torch.rot90(scores(turned.flip(3)).flip(3), -turns, dims=(2, 3)) - straight).abs().max()
        )
    return float(torch.stack(errors).max())


def test_parameters_are_the_papers() -> None:
    assert parameters(GMRUNet(out_channels=1)) == 177_595
    assert parameters(GMRUNet(out_channels=2)) == 177_612
    assert parameters(GMRUNet(out_channels=1, kernel_sizes=(3, 3, 3, 3), conv=plain_conv)) == 488_001


@pytest.mark.parametrize("mode", ["radial", "index"])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_it_commutes_with_the_eight_orientations(mode: str, dtype: torch.dtype, limit: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 40, 64, dtype=dtype)
    network = calibrated(GMRUNet(**SMALL, mode=mode).to(dtype), x)
    with torch.inference_mode():
        assert orientation_error(network, x) <= limit


def test_the_plain_twin_does_not() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 40, 64)
    network = calibrated(GMRUNet(**SMALL, kernel_sizes=(3, 3, 3, 3), conv=plain_conv), x)
    with torch.inference_mode():
        assert orientation_error(network, x) > 0.1


def test_folding_changes_nothing() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 40, 32, dtype=torch.float64)
    network = calibrated(GMRUNet(**SMALL).double(), x)
    plain = folded(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    torch.testing.assert_close(plain(x), network(x), rtol=0, atol=1e-12)


def test_extents_off_the_lattice_are_refused() -> None:
    with pytest.raises(ModelError, match="multiples of 8"):
        GMRUNet(**SMALL)(torch.zeros(1, 3, 40, 36))


def test_the_bridge_of_the_authors_release_halves_the_channels() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 40, 64, dtype=torch.float64)
    network = calibrated(GMRUNet(**SMALL, bridge=True).double(), x)
    assert [tuple(bridge.weight.shape[:2]) for bridge in network.bridges[:2]] == [(5, 10), (4, 8)]
    assert isinstance(network.bridges[2], nn.Identity)
    with torch.inference_mode():
        assert orientation_error(network, x) <= 1e-12
    assert not any(name.startswith("bridges") for name in GMRUNet(**SMALL).state_dict())


def test_one_kernel_size_a_depth_is_asked_for() -> None:
    with pytest.raises(ModelError, match="one for each stage"):
        GMRUNet(widths=(4, 6, 8))


def test_reach_is_the_measured_one() -> None:
    assert unet_halo((9, 9, 5, 5)) == 120
    assert unet_halo((3, 3, 3, 3)) < 120


@pytest.mark.parametrize("kernel_sizes", [(3, 3, 3, 3), (5, 3, 3)])
def test_reach_is_enough_and_needed(kernel_sizes: tuple[int, ...]) -> None:
    """A patch of core + halo gives the core of the whole, exactly; 8 px less of halo does not."""
    torch.manual_seed(3)
    network = GMRUNet(widths=(4, 6, 8, 10)[: len(kernel_sizes)], kernel_sizes=kernel_sizes).double()
    halo, lattice = network.halo_px, network.lattice_px
    side = 2 * halo + 8 * lattice
    x = torch.randn(1, 3, side, side, dtype=torch.float64)
    network = calibrated(network, x)
    with torch.inference_mode():
        whole = network(x)[..., halo : halo + lattice, halo : halo + lattice]
        enough = network(x[..., : 2 * halo + lattice, : 2 * halo + lattice])
        less = network(x[..., lattice : 2 * halo, lattice : 2 * halo])
    torch.testing.assert_close(
        enough[..., halo : halo + lattice, halo : halo + lattice], whole, rtol=0, atol=1e-12
    )
    inner = slice(halo - lattice, halo)
    assert (less[..., inner, inner] - whole).abs().max() > 1e-9
