"""The baselines: their sizes, their dense pass, and the kernel of three free values."""

import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.certificate.equivariance import perturbed_copy
from wsipipe.models.certificate.layer_outputs import TURNS, relative_error
from wsipipe.models.networks import baselines
from wsipipe.models.networks.blocks import folded


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("plain_resnet18", 11_181_642),
        ("plain_resnet50", 23_528_522),
        ("plain_densenet121", 6_964_106),
        ("plain_convnext_tiny", 27_827_818),
        ("plain_r3d", 2_019_586),
        ("symm_resnet18", 3_849_162),
        ("symm_convnext_tiny", 26_361_978),
        ("symm_r3d", 323_290),
    ],
)
def test_parameters_are_the_baselines(name: str, count: int) -> None:
    network = getattr(baselines, name)(num_classes=10)
    assert parameters(network) == count
    assert network.halo_px % network.lattice_px == 0


def test_the_plain_unet_has_the_papers_size() -> None:
    assert parameters(baselines.plain_unet(out_channels=1)) == 488_001


def test_the_smp_unet_looks_no_further_than_its_halo() -> None:
    torch.manual_seed(0)
    network = baselines.smp_unet(out_channels=2).double().eval()
    halo, cell = network.halo_px, network.lattice_px
    x = torch.rand(1, 3, 2 * halo + 3 * cell, cell, dtype=torch.float64, requires_grad=True)
    middle = halo + cell
    network(x)[:, :, middle : middle + cell].abs().sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert middle - halo <= int(seen[0]) < middle - halo + cell
    assert int(seen[-1]) < middle + cell + halo


@pytest.mark.parametrize("name", ["plain_resnet18", "plain_convnext_tiny"])
def test_the_dense_pass_has_a_cell_for_each_32_px(name: str) -> None:
    network = getattr(baselines, name)(num_classes=3, window=1).eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        assert network.logit_map(x).shape == (1, 3, 2, 3)
        torch.testing.assert_close(network(x), network.logit_map(x).mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_reach_of_the_strided_network_is_enough() -> None:
    torch.manual_seed(0)
    network = baselines.plain_resnet18(num_classes=2, window=1).eval()
    halo = network.halo_px
    x = torch.randn(1, 3, 32, 2 * halo + 64)
    with torch.inference_mode():
        whole = network.logit_map(x)[..., halo // 32]
        part = network.logit_map(x[..., : 2 * halo + 32])[..., halo // 32]
        less = network.logit_map(x[..., 128 : 2 * halo - 96])[..., halo // 32 - 4]
    torch.testing.assert_close(part, whole, rtol=1e-5, atol=1e-6 * float(whole.abs().max()))
    assert (less - whole).abs().max() > 1e-4 * whole.abs().max()


def test_a_tied_kernel_has_three_values_and_all_orientations() -> None:
    torch.manual_seed(0)
    conv = baselines.symm_conv(4, 6, 3)
    assert parameters(conv) == 4 * 6 * 3
    kernel = conv.weight
    assert torch.equal(kernel, torch.rot90(kernel, 1, (2, 3)))
    assert torch.equal(kernel, kernel.flip(3))
    assert len(torch.unique(kernel[0, 0])) == 3
    assert float(kernel.detach().square().sum((1, 2, 3)).mean()) == pytest.approx(2, rel=0.5)


def test_tied_networks_commute_fold_and_learn() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 32, 48, dtype=torch.float64)
    network = baselines.symm_unet(out_channels=1, widths=(4, 6, 8, 10)).double().eval()
    network(x).sum().backward()
    assert network.down[0].first.conv.parametrizations.weight.original.grad is not None
    with torch.inference_mode():
        turned = torch.rot90(network(torch.rot90(x, 1, (2, 3))), -1, (2, 3))
        torch.testing.assert_close(turned, network(x), rtol=0, atol=1e-12)
        torch.testing.assert_close(folded(network)(x), network(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("network", "x"),
    [
        (partial(baselines.symm_convnext_tiny, width=4, depths=(1, 1), kernel_sizes=(3, 3)), (2, 3, 32, 48)),
        (partial(baselines.symm_r3d, width=2), (2, 1, 16, 24, 16)),
    ],
)
def test_tied_classifiers_commute(network: Callable[..., nn.Module], x: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    image = torch.randn(x, dtype=torch.float64)
    perturbed = perturbed_copy(network(num_classes=3), image)
    with torch.inference_mode():
        straight = perturbed.cells(image)
        for turn in TURNS:
            assert relative_error(perturbed.cells(turn(image, (2, 3))), turn(straight, (2, 3))) <= 1e-12
        assert relative_error(perturbed.cells(image.roll(1, 2)), straight) > 1e-3


@pytest.mark.parametrize(
    ("package", "build"),
    [
        ("torchvision", lambda: baselines.plain_resnet18(2)),
        ("segmentation_models_pytorch", baselines.smp_unet),
    ],
)
def test_a_missing_library_is_named(
    package: str, build: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"{package}.models", raising=False)
    with pytest.raises(ModelError, match=rf"need {package}: pip install 'wsipipe-gmr\[baselines\]'"):
        build()
