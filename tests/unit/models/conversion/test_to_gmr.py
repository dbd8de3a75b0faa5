"""Conversion: what comes out commutes, or an error names what is in the way; nothing passes in silence."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn
from torch.nn import functional

from wsipipe.errors import ModelError
from wsipipe.models.conversion.to_gmr import convert_to_gmr
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.networks.blocks import BlockPool2d


class Strided(nn.Module):
    """What ordinary networks are made of: strides, 3x3 max pooling, a strided shortcut, groups, dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.main = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1, groups=4), nn.ReLU(), nn.Conv2d(8, 6, 3, 1, 2, 2))
        self.shortcut = nn.Conv2d(8, 6, 1, 2)
        self.up = nn.ConvTranspose2d(6, 4, 4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.stem(x))
        return self.up(functional.relu(self.main(x) + self.shortcut(x)))


def orientation_error(network: nn.Module, x: torch.Tensor) -> float:
    """Largest difference over a quarter turn and a mirror, of the answer's largest value."""
    with torch.inference_mode():
        straight = network(x)
        turned, mirrored = network(torch.rot90(x, 1, (2, 3))), network(x.flip(3))
    if straight.ndim == 4:
        turned, mirrored = torch.rot90(turned, -1, (2, 3)), mirrored.flip(3)
    errors = [(other - straight).abs().max() for other in (turned, mirrored)]
    return float(max(errors) / straight.abs().max())


def calibrated(network: nn.Module, x: torch.Tensor) -> nn.Module:
    """Norms set from one small batch; they magnify rounding, so only float64 is judged after it."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(x)
    return network.eval()


def shallow(decoder: type[nn.Module], encoder: str, **widths: Any) -> nn.Module:
    """Return a network of smp without the coarse stages, which have most of its weights and no new block."""
    channels = {"decoder_channels": (32, 16, 8)} if decoder in (smp.Unet, smp.MAnet) else {}
    return decoder(encoder, encoder_weights=None, encoder_depth=3, **channels | widths)


def test_a_strided_network_becomes_equivariant() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 48, 80)
    network = Strided().eval()
    assert orientation_error(network, x) > 0.05
    converted = convert_to_gmr(network, 5)
    assert orientation_error(converted, x) <= 1e-5
    assert orientation_error(converted.double(), x.double()) <= 1e-12
    assert converted(x.double()).shape == network(x).shape
    assert isinstance(network.stem[0], nn.Conv2d)


# Every kind of block and transition, but few and narrow: neither width nor number matters to the law.
OF_TIMM = {
    "resnet18": {"layers": (1, 1, 1, 1), "channels": (16, 24, 32, 40)},
    "densenet121": {"growth_rate": 8, "block_config": (2, 2, 2, 2)},
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (16, 24, 32, 40)},
    "mobilenetv3_small_050": {},
}


@pytest.mark.parametrize("name", OF_TIMM)
def test_networks_of_timm_become_equivariant(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 64, 96)
    network = timm.create_model(name, pretrained=False, num_classes=3, **OF_TIMM[name])
    converted = convert_to_gmr(network, (5, 3))
    left = [module for module in converted.modules() if type(module) is nn.Conv2d]
    assert {(conv.stride, conv.kernel_size) for conv in left} <= {((1, 1), (1, 1))}
    assert orientation_error(converted, x) <= 1e-5
    assert orientation_error(calibrated(converted.double(), x.double()), x.double()) <= 1e-10


@pytest.mark.parametrize(
    ("decoder", "encoder", "widths"),
    [
        ("Unet", "resnet18", {}),
        ("Unet", "mobilenet_v2", {}),
        ("Linknet", "resnet18", {}),
        ("FPN", "resnet18", {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}),
        ("DeepLabV3Plus", "resnet18", {"decoder_channels": 32}),
        ("PSPNet", "tu-efficientnet_b0", {"psp_out_channels": 32}),
    ],
)
def test_networks_of_smp_become_equivariant(decoder: str, encoder: str, widths: dict[str, object]) -> None:
    torch.manual_seed(0)
    network = shallow(getattr(smp, decoder), encoder, classes=2, **widths).eval()
    x = torch.randn(2, 3, 64, 64)
    assert orientation_error(network, x) > 1e-3
    assert orientation_error(convert_to_gmr(network, 3, example=x), x) <= 1e-5


@pytest.mark.parametrize(
    ("make", "side", "named"),
    [
        (lambda: timm.create_model("inception_v3", pretrained=False), 96, "Conv2d_1a_3x3.conv"),
        (lambda: timm.create_model("tf_efficientnet_b0", pretrained=False), 64, "conv_stem"),
        (lambda: shallow(smp.Unet, "efficientnet-b0"), 64, "_conv_stem.static_padding"),
        (lambda: shallow(smp.MAnet, "resnet18"), 64, "decoder.center.map_softmax"),
    ],
)
def test_networks_that_cannot_be_converted_are_refused_by_module(
    make: Callable[[], nn.Module], side: int, named: str
) -> None:
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=named):
        convert_to_gmr(make(), 3, example=torch.randn(2, 3, side, side))


def test_kernel_sizes_go_by_resolution() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 2, 1)
    )
    converted = convert_to_gmr(network, (9, 5))
    sides = [module.kernel_size for module in converted.modules() if isinstance(module, GMRConv2d)]
    assert sides == [9, 5, 5]


def test_what_commutes_keeps_its_values() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 2, 1, 2)
    )
    network[2].bias.data.fill_(0.5)
    converted = convert_to_gmr(network, 3, mode="index")
    assert torch.equal(converted[0].weight, network[0].weight)
    assert torch.equal(converted[3][1].weight, network[3].weight)
    assert torch.equal(converted[2].bias, network[2].bias)
    assert converted[2].mode == "index"


def test_a_valid_convolution_keeps_its_size_and_a_shared_one_stays_shared() -> None:
    conv = nn.Conv2d(3, 3, 3)
    converted = convert_to_gmr(nn.Sequential(conv, nn.ReLU(), conv), 5)
    assert converted[0] is converted[2]
    assert converted(torch.zeros(1, 3, 12, 16)).shape == (1, 3, 8, 12)


def test_a_single_layer_is_converted() -> None:
    assert isinstance(convert_to_gmr(nn.Conv2d(3, 2, 3, padding="same"), 7), GMRConv2d)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.Conv2d(3, 4, (1, 7), padding=(0, 3)), "differ between y and x"),
        (nn.Conv2d(3, 4, 4, padding=1), "half a pixel"),
        (nn.Conv2d(3, 4, 3, 2), "use padding 1"),
        (nn.ConvTranspose2d(3, 4, 3, 2, 1), "2 times the size"),
        (nn.MaxPool2d(2, return_indices=True), "return_indices"),
        (nn.LayerNorm([64, 96]), "weight per position"),
        (nn.PixelUnshuffle(2), "positions become channels"),
    ],
)
def test_what_has_no_equivalent_is_refused_by_name(layer: nn.Module, why: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(layer))
    with pytest.raises(ModelError, match=rf"1.0 \({type(layer).__name__}\) cannot be converted: .*{why}"):
        convert_to_gmr(network, 3)


class Functional(nn.Module):
    """Breaks in its own forward, where no module shows it."""

    def __init__(self, step: Callable[[torch.Tensor], torch.Tensor], last: nn.Module) -> None:
        super().__init__()
        self.conv, self.step, self.last = nn.Conv2d(3, 4, 3, padding=1), step, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.step(self.conv(x)))


@pytest.mark.parametrize(
    ("step", "last", "name"),
    [
        (lambda x: functional.max_pool2d(x, 3, 2, 1), nn.Conv2d(4, 2, 1), r"last \(Conv2d\)"),
        (lambda x: x.flatten(1), nn.Linear(4 * 64 * 96, 2), r"last \(Linear\)"),
        (lambda x: x, nn.Flatten(), r"last \(Flatten\)"),
        (lambda x: x + torch.linspace(0, 1e-6, x.shape[3]), nn.Identity(), r"last \(Identity\)"),
        (lambda x: functional.conv2d(x, x.new_ones(4, 1, 1, 2), groups=4), nn.ReLU(), r"last \(ReLU\)"),
    ],
)
def test_what_breaks_in_a_forward_is_found(
    step: Callable[..., torch.Tensor], last: nn.Module, name: str
) -> None:
    with pytest.raises(ModelError, match=rf"does not commute .* breaks is {name}"):
        convert_to_gmr(Functional(step, last), 3)


class Hidden(nn.Module):
    """A branch that breaks the symmetry, and starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.norm(functional.pad(self.conv(x), (1, 0))[..., :-1])


def test_a_branch_that_starts_at_zero_hides_nothing() -> None:
    with pytest.raises(ModelError, match="norm"):
        convert_to_gmr(Hidden(), 3)


def test_norms_of_the_patch_are_kept_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4))
    with caplog.at_level(logging.WARNING):
        convert_to_gmr(network, 3)
    assert "1 and 0 more norms depend on the whole patch" in caplog.text


def test_extents_that_pooling_would_cut_are_refused() -> None:
    converted = convert_to_gmr(nn.Conv2d(3, 2, 3, 2, 1), 3)
    with pytest.raises(ModelError, match="9 x 8 px, no multiple of 2"):
        converted(torch.zeros(1, 3, 9, 8))
    assert BlockPool2d(2, largest=True)(torch.arange(4.0).reshape(1, 1, 2, 2)).item() == 3


def test_a_model_that_does_not_take_the_example_is_refused_with_the_way_out() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Flatten(), nn.Linear(2 * 32 * 32, 2))
    with pytest.raises(ModelError, match="Give an example"):
        convert_to_gmr(network, 3)


def test_a_model_without_convolutions_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing to convert"):
        convert_to_gmr(nn.Linear(3, 2), 3)


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ModelError, match="odd side"):
        convert_to_gmr(nn.Conv2d(3, 2, 3, padding=1), 4)
