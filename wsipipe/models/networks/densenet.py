"""GMR-DenseNet-121 and -161, classifiers with a dense pass at stride 16.

A 5x5 ring stem and 2x2 average pooling, then four dense blocks; each layer squeezes with 1x1 and adds
``growth`` maps by a ring convolution. Parameters with 10 classes: 5.678 M (121), 22.500 M (161).

Source: Huang et al., Densely connected convolutional networks; the GMR-Conv paper, S11.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from wsipipe.models.gmr import Mode
from wsipipe.models.networks.blocks import (
    ConvFactory,
    ConvNorm,
    check_stages,
    conv_relu,
    gmr_conv,
    plain_conv,
    pool,
)
from wsipipe.models.networks.dense_classifier import DenseClassifier
from wsipipe.models.networks.halo import POOL, Step

STEM_PX = 5
SQUEEZE = 4


class DenseLayer(nn.Module):
    """Layer that appends ``growth`` maps to its input.

    (B, in, H, W) -> (B, in + growth, H, W).
    """

    def __init__(self, in_channels: int, growth: int, kernel_size: int, conv: ConvFactory) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.squeeze = ConvNorm(plain_conv(in_channels, SQUEEZE * growth, 1))
        self.conv = conv(SQUEEZE * growth, growth, kernel_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers to features.

        (B, in, H, W) -> (B, in + growth, H, W).
        """
        squeezed = conv_relu(self.squeeze, functional.relu(self.norm(x)))
        return torch.cat([x, self.conv(squeezed)], dim=1)


class Transition(nn.Module):
    """Half the channels at half the size.

    (B, in, H, W) -> (B, in / 2, H / 2, W / 2).
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = plain_conv(in_channels, in_channels // 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers to features.

        (B, in, H, W) -> (B, in / 2, H / 2, W / 2).
        """
        return pool(self.conv(functional.relu(self.norm(x))))


class GMRDenseNet(DenseClassifier):
    """DenseNet of ring convolutions; by default GMR-DenseNet-121.

    Args:
        num_classes: Classes.
        width: Channels of the stem.
        growth: Maps that each layer adds.
        depths: Layers of each dense block.
        kernel_sizes: Odd kernel side in each dense block, px.
        window: Odd number of stride-16 cells along a side that :meth:`logit_map` averages.
        mode: Ring profile, see :mod:`wsipipe.models.gmr`.
        conv: Another convolution (for a baseline); None for the ring convolution.
        stem_px: Odd kernel side of the stem, px.
    """

    def __init__(
        self,
        num_classes: int,
        width: int = 64,
        growth: int = 32,
        depths: Sequence[int] = (6, 12, 24, 16),
        kernel_sizes: Sequence[int] = (9, 9, 5, 5),
        window: int = 7,
        mode: Mode = "radial",
        conv: ConvFactory | None = None,
        stem_px: int = STEM_PX,
    ) -> None:
        super().__init__()
        conv = conv or gmr_conv(mode)
        self.kernel_sizes, self.window = check_stages(kernel_sizes, len(depths)), window
        self.stem = ConvNorm(conv(3, width, stem_px))
        self.steps: list[Step] = [(stem_px, 1), POOL]
        blocks: list[nn.Module] = []
        channels = width
        for stage, (side, depth) in enumerate(zip(kernel_sizes, depths, strict=True)):
            if stage:
                blocks.append(Transition(channels))
                channels //= 2
            layers = [DenseLayer(channels + index * growth, growth, side, conv) for index in range(depth)]
            channels += depth * growth
            blocks += layers
            self.steps += [*([POOL] if stage else []), *[(side, 1)] * depth]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of each cell.

        Image (B, 3, H, W) -> (B, F, H / 16, W / 16).
        """
        return functional.relu(self.norm(self.blocks(pool(conv_relu(self.stem, x)))))


gmr_densenet121 = GMRDenseNet
gmr_densenet161 = partial(GMRDenseNet, width=96, growth=48, depths=(6, 12, 36, 24))
