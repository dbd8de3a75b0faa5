"""GMR-ConvNeXt-T, a classifier with a dense pass at stride 32.

Depthwise ring convolutions; a 2x2 stride-2 convolution becomes 2x2 average pooling and 1x1; the 4x4 stride-4
stem becomes two 5x5 ring convolutions (3 -> 16 -> 96), each with pooling, of as many weights as the 4x4 and
144 more. 26.364 M parameters with 10 classes. The last norm is applied to each cell, before the mean, so that
the score of a tile is the mean of its cells' scores. No stochastic depth.

Source: Liu et al., A ConvNet for the 2020s; the GMR-Conv paper, S11.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from wsipipe.models.gmr import Mode
from wsipipe.models.networks.blocks import ConvFactory, check_stages, gmr_conv, pool
from wsipipe.models.networks.dense_classifier import DenseClassifier
from wsipipe.models.networks.halo import POOL, Step

STEM_PX = 5
STEM_WIDTH = 16
EXPANSION = 4
LAYER_SCALE = 1e-6


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each pixel: (B, C, H, W), same out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise features (B, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Stem(nn.Module):
    """First layers: image (B, 3, H, W) -> (B, width, H / 4, W / 4)."""

    def __init__(self, width: int, conv: ConvFactory, stem_px: int) -> None:
        super().__init__()
        self.first = conv(3, STEM_WIDTH, stem_px)
        self.first_norm = ChannelNorm(STEM_WIDTH)
        self.second = conv(STEM_WIDTH, width, stem_px)
        self.second_norm = ChannelNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features.

        Image (B, 3, H, W) -> (B, width, H / 4, W / 4).
        """
        x = functional.gelu(self.first_norm(pool(self.first(x))))
        return self.second_norm(pool(self.second(x)))


class ConvNeXtBlock(nn.Module):
    """Residual block of a depthwise convolution, norm and two 1x1.

    A GELU lies between the 1x1. (B, C, H, W), same out.
    """

    def __init__(self, width: int, kernel_size: int, conv: ConvFactory) -> None:
        super().__init__()
        self.depthwise = conv(width, width, kernel_size, width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, EXPANSION * width)
        self.shrink = nn.Linear(EXPANSION * width, width)
        self.scale = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers to features.

        (B, C, H, W) -> (B, C, H, W).
        """
        inner = (self.depthwise(x) + self.shift[:, None, None]).permute(0, 2, 3, 1)
        inner = self.scale * self.shrink(functional.gelu(self.expand(self.norm(inner))))
        return x + inner.permute(0, 3, 1, 2)


class Halve(nn.Module):
    """Norm, 2x2 mean, 1x1.

    (B, in, H, W) -> (B, out, H / 2, W / 2).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers to features.

        (B, in, H, W) -> (B, out, H / 2, W / 2).
        """
        return self.conv(pool(self.norm(x)))


class GMRConvNeXt(DenseClassifier):
    """ConvNeXt of depthwise ring convolutions; by default GMR-ConvNeXt-T.

    Args:
        num_classes: Classes.
        width: Channels of the first stage; they double at each of the next three.
        depths: Blocks of each stage.
        kernel_sizes: Odd kernel side of each stage, px.
        window: Odd number of stride-32 cells along a side that :meth:`logit_map` averages.
        mode: Ring profile, see :mod:`wsipipe.models.gmr`.
        conv: Another convolution (for a baseline); None for the ring convolution.
        stem_px: Odd kernel side in the stem, px.
    """

    def __init__(
        self,
        num_classes: int,
        width: int = 96,
        depths: Sequence[int] = (3, 3, 9, 3),
        kernel_sizes: Sequence[int] = (9, 9, 5, 5),
        window: int = 7,
        mode: Mode = "radial",
        conv: ConvFactory | None = None,
        stem_px: int = STEM_PX,
    ) -> None:
        super().__init__()
        conv = conv or gmr_conv(mode)
        self.kernel_sizes, self.window = check_stages(kernel_sizes, len(depths)), window
        self.stem = Stem(width, conv, stem_px)
        self.steps: list[Step] = [(stem_px, 1), POOL, (stem_px, 1), POOL]
        blocks: list[nn.Module] = []
        for stage, (side, depth) in enumerate(zip(kernel_sizes, depths, strict=True)):
            channels = width * 2**stage
            if stage:
                blocks.append(Halve(channels // 2, channels))
                self.steps.append(POOL)
            blocks += [ConvNeXtBlock(channels, side, conv) for _ in range(depth)]
            self.steps += [(side, 1)] * depth
        self.blocks = nn.Sequential(*blocks)
        self.norm = ChannelNorm(channels)
        self.head = nn.Linear(channels, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of each cell.

        Image (B, 3, H, W) -> (B, F, H / 32, W / 32).
        """
        return self.norm(self.blocks(self.stem(x)))


gmr_convnext_tiny = GMRConvNeXt
