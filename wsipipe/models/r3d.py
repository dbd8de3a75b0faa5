"""GMR-R3D: volume (B, 1, D, H, W) -> class scores, or a map of them at stride 8, in step with the cube.

A residual network of nine layers, of spherical-shell convolutions: its answer is the same in all 48
orientations of the cube. 0.1758 M parameters with 10 classes; the paper's baseline for ModelNet.

Source: the GMR-Conv paper, Tab. 5 and S2.2.
"""

from math import prod

import torch
from torch import nn
from torch.nn import functional

from wsipipe.errors import ModelError
from wsipipe.models.blocks import POOL, ConvFactory, ConvNorm, Step, dense_halo
from wsipipe.models.gmr import GMRConv3d, Mode

STAGES = 4


def plain_conv3d(in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> nn.Conv3d:
    """Ordinary bias-free convolution, same size out."""
    padding = kernel_size // 2
    return nn.Conv3d(in_channels, out_channels, kernel_size, padding=padding, groups=groups, bias=False)


def gmr_conv3d(mode: Mode) -> ConvFactory:
    """Factory of bias-free shell convolutions of one ``mode``, same size out."""

    def make(in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> GMRConv3d:
        return GMRConv3d(in_channels, out_channels, kernel_size, groups=groups, bias=False, mode=mode)

    return make


class ResidualBlock3d(nn.Module):
    """Two convolutions and a shortcut: (B, in, D, H, W) -> (B, out, ...), pooled 2x first if it widens."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, conv: ConvFactory) -> None:
        super().__init__()
        self.first = ConvNorm(conv(in_channels, out_channels, kernel_size))
        self.second = ConvNorm(conv(out_channels, out_channels, kernel_size))
        self.widens = in_channels != out_channels
        straight = plain_conv3d(in_channels, out_channels, 1)
        self.shortcut = ConvNorm(straight) if self.widens else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (B, in, D, H, W) -> (B, out, D, H, W) or half of it."""
        x = functional.avg_pool3d(x, 2) if self.widens else x
        return functional.relu(self.second(functional.relu(self.first(x))) + self.shortcut(x))


class GMRR3D(nn.Module):
    """Residual network for volumes.

    Args:
        num_classes: Classes.
        in_channels: 1 for voxels.
        width: Channels of the first stage; they double at each of the next three.
        kernel_size: Odd kernel side, voxels.
        mode: ``radial`` or ``index``, see :mod:`wsipipe.models.gmr`.
        conv: Another convolution (for a twin); None for the shell convolution.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 1,
        width: int = 24,
        kernel_size: int = 3,
        mode: Mode = "radial",
        conv: ConvFactory | None = None,
    ) -> None:
        super().__init__()
        conv = conv or gmr_conv3d(mode)
        widths = [width * 2**stage for stage in range(STAGES)]
        self.stem = ConvNorm(conv(in_channels, width, kernel_size))
        self.blocks = nn.Sequential(
            *(
                ResidualBlock3d(entry, wider, kernel_size, conv)
                for entry, wider in zip([width, *widths], widths, strict=False)
            )
        )
        self.head = nn.Linear(widths[-1], num_classes)
        layer: Step = (kernel_size, 1)
        self.steps: list[Step] = [layer, layer, layer, *[POOL, layer, layer] * (STAGES - 1)]

    @property
    def stride(self) -> int:
        """Voxels of the volume for each cell, along each axis."""
        return prod(stride for _, stride in self.steps)

    @property
    def lattice_px(self) -> int:
        """Origins and extents of blocks must be multiples of this."""
        return self.stride

    @property
    def halo_px(self) -> int:
        """Context a cell needs on each side, voxels."""
        return dense_halo(self.steps, 1)

    def cells(self, x: torch.Tensor) -> torch.Tensor:
        """Volume (B, C, D, H, W) -> raw class scores of each cell (B, classes, D / 8, H / 8, W / 8).

        Raises:
            ModelError: An extent is no multiple of 8.
        """
        if any(extent % self.stride for extent in x.shape[2:]):
            raise ModelError(
                f"The network was given {tuple(x.shape[2:])} voxels; each extent must be a multiple of "
                f"{self.stride} for symmetric pooling. Pad the volume."
            )
        features = self.blocks(functional.relu(self.stem(x)))
        return self.head(features.movedim(1, -1)).movedim(-1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Volumes (B, C, D, H, W) -> raw class scores (B, classes)."""
        return self.cells(x).mean(dim=(2, 3, 4))


gmr_r3d = GMRR3D
