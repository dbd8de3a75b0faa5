"""Ring encoders under smp's decoders: they run as smp's own, and commute once the decoder is converted."""

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.conversion.to_gmr import convert_to_gmr
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.networks.smp_encoder import GMRResNetEncoder, register

X = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()


def calibrated(network: nn.Module) -> nn.Module:
    """In float64, norms set from one small batch; they magnify rounding, so float32 is judged before."""
    for module in network.double().modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(X.double())
    return network.eval()


def orientation_error(network: nn.Module, x: torch.Tensor) -> float:
    """Largest difference over a quarter turn and a mirror, of the answer's largest value."""
    with torch.inference_mode():
        straight = network(x)
        turned = torch.rot90(network(torch.rot90(x, 1, (2, 3))), -1, (2, 3))
        mirrored = network(x.flip(3)).flip(3)
    return float(
        max((turned - straight).abs().max(), (mirrored - straight).abs().max()) / straight.abs().max()
    )


@pytest.mark.parametrize(
    ("interpolation", "depth", "channels"),
    [("nearest", 5, (32, 16, 8, 8, 8)), ("bilinear", 3, (16, 8, 8))],
)
def test_a_unet_commutes_once_its_decoder_is_converted(
    interpolation: str, depth: int, channels: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    network = smp.Unet(
        "gmr_resnet18",
        encoder_weights=None,
        encoder_depth=depth,
        decoder_channels=channels,
        decoder_interpolation=interpolation,
        classes=2,
    ).eval()
    assert orientation_error(network, X) > 0.01
    converted = convert_to_gmr(network, (5, 3))
    assert converted(X).shape == (2, 2, 64, 96)
    assert orientation_error(converted, X) <= 1e-5
    if depth < 5:
        assert orientation_error(calibrated(converted), X.double()) <= 1e-10


def test_the_encoder_alone_commutes() -> None:
    encoder = GMRResNetEncoder().eval()
    with torch.inference_mode():
        turned = encoder(torch.rot90(X, 1, (2, 3)))
        for straight, other in zip(encoder(X), turned, strict=True):
            error = (torch.rot90(other, -1, (2, 3)) - straight).abs().max()
            assert error <= 1e-5 * straight.abs().max()


def test_features_are_where_smp_expects_them() -> None:
    for depth in range(1, 6):
        encoder = GMRResNetEncoder(depth=depth).eval()
        with torch.inference_mode():
            features = encoder(X)
        assert [64 // f.shape[2] for f in features] == [2**level for level in range(depth + 1)]
        assert [f.shape[1] for f in features] == encoder.out_channels


def test_other_inputs_and_strides_are_possible() -> None:
    network = smp.DeepLabV3(
        "gmr_resnet18", encoder_weights=None, in_channels=5, encoder_output_stride=8
    ).eval()
    convs = [m for m in network.encoder.modules() if isinstance(m, GMRConv2d)]
    assert convs[0].in_channels == 5
    assert {conv.dilation for conv in convs} == {1, 2, 4}
    with torch.inference_mode():
        assert network.encoder(torch.zeros(1, 5, 64, 96))[-1].shape == (1, 512, 8, 12)
        assert network(torch.zeros(1, 5, 64, 96)).shape == (1, 1, 64, 96)


def test_wrong_depths_strides_and_extents_are_refused() -> None:
    with pytest.raises(ModelError, match="1 to 5"):
        GMRResNetEncoder(depth=6)
    with pytest.raises(ModelError, match="8, 16 or 32"):
        GMRResNetEncoder().make_dilated(4)
    with pytest.raises(ModelError, match="multiples of 32"):
        GMRResNetEncoder()(torch.zeros(1, 3, 64, 80))
