"""GMR U-Net: image (B, 3, H, W) -> raw scores (B, outputs, H, W).

Average pooling, bilinear up-sampling by pixel centres, BatchNorm, bias-free ring convolutions. The paper's
configuration with one output has 177,595 parameters; its plain 3x3 baseline 488,001.
"""

from collections.abc import Sequence

import torch
from torch import nn

from wsipipe.models.gmr import Mode
from wsipipe.models.kernels.layer_input import POOLED, UPSAMPLED, LayerInput
from wsipipe.models.networks.blocks import (
    ConvFactory,
    ConvNorm,
    check_divisible,
    check_stages,
    conv_relu,
    gmr_conv,
)
from wsipipe.models.networks.halo import POOL, before, before_upsample, halo_of


class DoubleConv(nn.Module):
    """Twice convolution, BatchNorm, ReLU: (B, in, H, W) -> (B, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, conv: ConvFactory) -> None:
        super().__init__()
        self.first = ConvNorm(conv(in_channels, out_channels, kernel_size))
        self.second = ConvNorm(conv(out_channels, out_channels, kernel_size))

    def forward(self, *inputs: torch.Tensor | LayerInput) -> torch.Tensor:
        """Return features (B, out, H, W) of (B, in, H, W).

        The input may come in two parts.
        """
        return conv_relu(self.second, conv_relu(self.first, *inputs))


class GMRUNet(nn.Module):
    """U-Net of ring convolutions.

    Args:
        in_channels: 3 for RGB.
        out_channels: Maps of raw scores.
        widths: Channels at each depth, finest first.
        kernel_sizes: Odd kernel side at each depth, px.
        mode: Ring profile, see :mod:`wsipipe.models.gmr`.
        conv: Another convolution (for a baseline); None for the ring convolution.
        bridge: Whether a 1x1 convolution precedes each up-sampling, as in the authors' release (not in the
            paper's count): it halves the channels, except the finest.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 2,
        widths: Sequence[int] = (16, 32, 64, 128),
        kernel_sizes: Sequence[int] = (9, 9, 5, 5),
        mode: Mode = "radial",
        conv: ConvFactory | None = None,
        bridge: bool = False,
    ) -> None:
        super().__init__()
        conv = conv or gmr_conv(mode)
        self.kernel_sizes, self.mode = check_stages(kernel_sizes, len(widths)), mode
        lower = [widths[1], *(width // 2 for width in widths[2:])] if bridge else list(widths[1:])
        entries = (in_channels, *widths[:-1])
        self.down = nn.ModuleList(
            DoubleConv(entry, width, side, conv)
            for entry, width, side in zip(entries, widths, kernel_sizes, strict=True)
        )
        self.up = nn.ModuleList(
            DoubleConv(widths[depth] + lower[depth], widths[depth], kernel_sizes[depth], conv)
            for depth in reversed(range(len(lower)))
        )
        self.bridges = nn.ModuleList(
            nn.Conv2d(wide, narrow, 1) if bridge and wide != narrow else nn.Identity()
            for wide, narrow in zip(reversed(widths[1:]), reversed(lower), strict=True)
        )
        self.head = nn.Conv2d(widths[0], out_channels, 1)

    stride = 1

    @property
    def lattice_px(self) -> int:
        """Divisor of patch origins and extents."""
        return 2 ** (len(self.kernel_sizes) - 1)

    @property
    def halo_px(self) -> int:
        """Context a core on the lattice needs on each side, px."""
        return unet_halo(self.kernel_sizes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw scores (B, out, H, W) of an image (B, in, H, W).

        H and W must be multiples of ``lattice_px``.
        """
        check_divisible(x, self.lattice_px)
        skips = [self.down[0](x)]
        for block in self.down[1:]:
            skips.append(block(LayerInput(skips[-1], POOLED)))
        x = skips.pop()
        for bridge, block in zip(self.bridges, self.up, strict=True):
            x = block(skips.pop(), LayerInput(bridge(x), UPSAMPLED))
        return self.head(x)


gmr_unet = GMRUNet


def unet_halo(kernel_sizes: Sequence[int]) -> int:
    """Return the halo of a U-Net, px.

    The layers are followed backwards from one lattice cell of outputs. The paper's (9, 9, 5, 5) gives 120.
    Skips have no larger receptive field than the deeper path.
    """
    cell_px = 2 ** (len(kernel_sizes) - 1)
    span = (0, cell_px - 1)
    for side in kernel_sizes[:-1]:
        span = before_upsample(before(before(span, (side, 1)), (side, 1)))
    for depth, side in reversed(list(enumerate(kernel_sizes))):
        span = before(before(span, (side, 1)), (side, 1))
        span = before(span, POOL) if depth else span
    return halo_of(span, cell_px)
