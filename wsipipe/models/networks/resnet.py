"""GMR-ResNet-18, -34 and -50, classifiers with a dense pass at stride 16.

The stem is a 5x5 ring convolution and 2x2 average pooling; a stage that halves the size pools first, then
convolves at stride 1. Parameters with 10 classes: 3.997 M (18), 16.131 M (50).
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from wsipipe.models.gmr import Mode
from wsipipe.models.kernels.layer_input import AS_IS, POOLED, LayerInput
from wsipipe.models.networks.blocks import (
    ConvFactory,
    ConvNorm,
    Pool,
    check_stages,
    conv_relu,
    convolved,
    gmr_conv,
    plain_conv,
)
from wsipipe.models.networks.dense_classifier import DenseClassifier
from wsipipe.models.networks.halo import POOL, Step, dense_halo

STEM_PX = 5
DEPTHS = (2, 2, 2, 2)
DEEPER = (3, 4, 6, 3)


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut: (B, in, H, W) -> (B, width, H, W).

    It pools 2x first if ``halves``. Also for volumes (B, in, D, H, W), with a ``straight`` 1x1x1 convolution
    for the shortcut.
    """

    convs = 2

    def __init__(
        self,
        in_channels: int,
        width: int,
        kernel_size: int,
        conv: ConvFactory,
        halves: bool,
        straight: ConvFactory = plain_conv,
    ) -> None:
        super().__init__()
        self.halves, self.out_channels = halves, width
        self.first = ConvNorm(conv(in_channels, width, kernel_size))
        self.second = ConvNorm(conv(width, width, kernel_size))
        self.shortcut = shortcut(in_channels, width, straight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers to features.

        (B, in, H, W) -> (B, width, H, W), or half of it.
        """
        read = LayerInput(x, POOLED if self.halves else AS_IS)
        return conv_relu(self.second, conv_relu(self.first, read), residual=convolved(self.shortcut, read))


class Bottleneck(nn.Module):
    """1x1, one convolution, 1x1 and a shortcut.

    (B, in, H, W) -> (B, 4 width, H, W). If it ``halves``, it pools 2x after the first 1x1, like the authors'
    network.
    """

    convs = 1

    def __init__(
        self, in_channels: int, width: int, kernel_size: int, conv: ConvFactory, halves: bool
    ) -> None:
        super().__init__()
        self.halves, self.out_channels = halves, 4 * width
        self.first = ConvNorm(plain_conv(in_channels, width, 1))
        self.second = ConvNorm(conv(width, width, kernel_size))
        self.third = ConvNorm(plain_conv(width, 4 * width, 1))
        self.shortcut = shortcut(in_channels, 4 * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers to features.

        (B, in, H, W) -> (B, 4 width, H, W), or half of it.
        """
        scale = POOLED if self.halves else AS_IS
        inner = conv_relu(self.second, LayerInput(conv_relu(self.first, x), scale))
        return conv_relu(self.third, inner, residual=convolved(self.shortcut, LayerInput(x, scale)))


def shortcut(in_channels: int, out_channels: int, straight: ConvFactory = plain_conv) -> nn.Module:
    """Return the shortcut of a block: identity, or 1x1 if channels change."""
    same = in_channels == out_channels
    return nn.Identity() if same else ConvNorm(straight(in_channels, out_channels, 1))


class GMRResNet(DenseClassifier):
    """ResNet of ring convolutions; by default GMR-ResNet-18.

    Args:
        num_classes: Classes.
        width: Channels of the first stage; they double at each of the next three.
        kernel_sizes: Odd kernel side of each stage, px.
        window: Odd number of stride-16 cells along a side that :meth:`logit_map` averages (7 cells = 112 px).
        mode: Ring profile, see :mod:`wsipipe.models.gmr`.
        conv: Another convolution (for a baseline); None for the ring convolution.
        depths: Blocks of each stage.
        block: :class:`ResidualBlock` or :class:`Bottleneck`.
        stem_px: Odd kernel side of the stem, px.
    """

    def __init__(
        self,
        num_classes: int,
        width: int = 64,
        kernel_sizes: Sequence[int] = (9, 9, 5, 5),
        window: int = 7,
        mode: Mode = "radial",
        conv: ConvFactory | None = None,
        depths: Sequence[int] = DEPTHS,
        block: type[ResidualBlock] | type[Bottleneck] = ResidualBlock,
        stem_px: int = STEM_PX,
    ) -> None:
        super().__init__()
        conv = conv or gmr_conv(mode)
        self.kernel_sizes, self.window = check_stages(kernel_sizes, len(depths)), window
        self.depths, self.mode = tuple(depths), mode
        self.steps = layer_steps(self.kernel_sizes, self.depths, block.convs, stem_px)
        self.stem, self.pool = ConvNorm(conv(3, width, stem_px)), Pool()
        blocks: list[ResidualBlock | Bottleneck] = []
        channels = width
        for stage, (side, depth) in enumerate(zip(kernel_sizes, depths, strict=True)):
            for index in range(depth):
                halves = stage > 0 and index == 0
                blocks.append(block(channels, width * 2**stage, side, conv, halves))
                channels = blocks[-1].out_channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of each cell.

        Image (B, 3, H, W) -> (B, F, H / 16, W / 16).
        """
        return self.blocks(self.pool(conv_relu(self.stem, x)))


GMRResNet18 = GMRResNet
gmr_resnet18 = GMRResNet
gmr_resnet34 = partial(GMRResNet, depths=DEEPER)
gmr_resnet50 = partial(GMRResNet, depths=DEEPER, block=Bottleneck)


def layer_steps(
    kernel_sizes: Sequence[int], depths: Sequence[int], convs: int = 2, stem_px: int = STEM_PX
) -> list[Step]:
    """Return kernel side and stride of each layer.

    Shortcuts have no larger receptive field.
    """
    steps: list[Step] = [(stem_px, 1)]
    for side, depth in zip(kernel_sizes, depths, strict=True):
        steps += [POOL, *[(side, 1)] * (convs * depth)]
    return steps


def resnet_halo(kernel_sizes: Sequence[int], window: int) -> int:
    """Return the halo of GMR-ResNet-18's dense pass, px.

    It is 352 for (9, 9, 5, 5) and 7 cells.
    """
    return dense_halo(layer_steps(kernel_sizes, DEPTHS), window)
