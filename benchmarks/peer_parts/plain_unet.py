"""An ordinary U-Net of 16 base channels, the twin of the nuclei network."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

WIDTHS = (16, 32, 64, 128, 256)


class PlainUNet(nn.Module):
    """An ordinary U-Net: 3x3 twice, ReLU, largest of 2x2, bilinear up-sampling, concatenation."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *WIDTHS[:-1])
        self.down = nn.ModuleList(double(a, b) for a, b in zip(inputs, WIDTHS, strict=True))
        pairs = list(pairwise(WIDTHS))
        self.up = nn.ModuleList(double(a + b, a) for a, b in reversed(pairs))
        self.head = nn.Conv2d(WIDTHS[0], 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (B, 2, H, W) of images (B, 3, H, W)."""
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = skips.pop()
        for block in self.up:
            larger = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([skips.pop(), larger], 1))
        return self.head(x)


def double(channels: int, outputs: int) -> nn.Sequential:
    """Return two 3x3 convolutions with folded norms, each with ReLU."""
    first, second = nn.Conv2d(channels, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))
