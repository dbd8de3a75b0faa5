"""Agreement with the paper's formulas and the authors' release, and with the eight orientations."""

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from torch import nn

from wsipipe.models.conversion.gmr_conv_checkpoints import load_reference_state
from wsipipe.models.freeze import freeze
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.networks.resnet import GMRResNet

Row = dict[str, object]
Call = Callable[[torch.Tensor], torch.Tensor]


def exactness_rows(package: ModuleType | None) -> list[Row]:
    """One row a claim, with its largest relative error."""
    rows = [
        {"claim": f"kernel = Eq. 1-3, k = {side}", "error": kernel_error(side)} for side in (3, 5, 7, 9, 11)
    ]
    if package:
        rows += [
            {"claim": f"index kernel = release, k = {side}", "error": release_error(package, side)}
            for side in (3, 5, 7, 9, 11)
        ]
        rows.append({"claim": "GMR-ResNet-18 = release", "error": release_network_error(package)})
    for dtype in (torch.float32, torch.bfloat16):
        for side in (5, 9):
            layer = freeze(nn.Sequential(GMRConv2d(16, 16, side)), dtype)
            rows.append(
                {"claim": f"layer, k = {side}, {dtype}, fused: D4", "error": d4_error(layer, dtype, (64, 72))}
            )
    return rows


def kernel_error(side: int) -> float:
    """Largest relative difference of a radial kernel from Eq. 1-3 evaluated by numpy in float64."""
    layer = GMRConv2d(4, 8, side)
    with torch.no_grad():
        layer.log_sigma.add_(torch.randn(layer.rings) * 0.3)
    weight, sigma = layer.weight.detach().double().numpy(), np.exp(layer.log_sigma.detach().double().numpy())
    rings, spacing = layer.rings, side / (2 * (layer.rings - 1))
    offsets = np.arange(side) - side // 2
    radius = np.hypot(*np.meshgrid(offsets, offsets))
    kernel = sum(
        weight[..., i, None, None] * np.exp(-((radius - i * spacing) ** 2) / (2 * sigma[i] ** 2))
        for i in range(rings)
    ) * (radius < side / 2)
    return relative(layer.kernel().detach(), torch.from_numpy(kernel))


def release_error(package: ModuleType, side: int) -> float:
    """Largest relative difference of an index layer's output from the release's."""
    theirs = package.GMR_Conv2d(6, 8, side, padding=side // 2).eval()
    ours = GMRConv2d(6, 8, side, mode="index")
    with torch.no_grad():
        for mine, other in (
            (ours.weight, theirs.weight),
            (ours.log_sigma, theirs.log_sigmas),
            (ours.bias, theirs.bias),
        ):
            mine.copy_(other)
        x = torch.randn(1, 6, 40, 40)
        return relative(ours(x), theirs(x))


def release_network_error(package: ModuleType) -> float:
    """Largest relative difference of our GMR-ResNet-18 from the release's, its weights loaded."""
    theirs = package.gmr_resnet18(num_classes=9, gmr_conv_size=[9, 9, 5, 5])
    x = torch.rand(2, 3, 64, 64)
    theirs(x)
    ours = GMRResNet(9, mode="index")
    load_reference_state(ours, theirs.state_dict())
    with torch.inference_mode():
        return relative(ours.eval()(x), theirs.eval()(x))


def d4_error(call: Call, dtype: torch.dtype, size: tuple[int, int]) -> float:
    """Largest relative error under a quarter turn and a mirror, which generate all eight orientations."""
    x = torch.rand(1, first_channels(call), *size, dtype=dtype)
    with torch.inference_mode():
        straight = call(x)
        turned = relative(call(torch.rot90(x, 1, (2, 3))), torch.rot90(straight, 1, (2, 3)))
        return max(turned, relative(call(x.flip(3)), straight.flip(3)))


def first_channels(call: Call) -> int:
    """Channels in: 3 for networks, 16 for the layers here."""
    return 16 if isinstance(call, nn.Sequential) else 3


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference over the largest value."""
    error = float((found.double() - expected.double()).abs().max() / expected.double().abs().max())
    return error if math.isfinite(error) else math.inf
