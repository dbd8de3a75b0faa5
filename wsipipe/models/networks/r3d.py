"""GMR-R3D, a classifier of volumes with a dense pass at stride 8.

Volume (B, 1, D, H, W) -> class scores. A residual network of nine layers, of spherical-shell convolutions:
its output is the same in all 48 orientations of the cube. 0.1758 M parameters with 10 classes; the paper's
baseline for ModelNet.

Source: the GMR-Conv paper, Tab. 5 and S2.2.
"""

import torch
from torch import nn

from wsipipe.models.gmr import Mode
from wsipipe.models.networks.blocks import ConvFactory, ConvNorm, conv_relu, gmr_conv, plain_conv3d
from wsipipe.models.networks.dense_classifier import DenseClassifier
from wsipipe.models.networks.halo import POOL, Step
from wsipipe.models.networks.resnet import ResidualBlock

STAGES = 4


class GMRR3D(DenseClassifier):
    """Residual network for volumes.

    Args:
        num_classes: Classes.
        in_channels: 1 for voxels.
        width: Channels of the first stage; they double at each of the next three.
        kernel_size: Odd kernel side, voxels.
        window: Odd number of cells along a side that :meth:`logit_map` averages.
        mode: Ring profile, see :mod:`wsipipe.models.gmr`.
        conv: Another convolution (for a baseline); None for the shell convolution.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 1,
        width: int = 24,
        kernel_size: int = 3,
        window: int = 1,
        mode: Mode = "radial",
        conv: ConvFactory | None = None,
    ) -> None:
        super().__init__()
        conv = conv or gmr_conv(mode, dims=3)
        widths = [width, *(width * 2**stage for stage in range(STAGES))]
        self.window = window
        self.stem = ConvNorm(conv(in_channels, width, kernel_size))
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(widths[stage], widths[stage + 1], kernel_size, conv, stage > 0, plain_conv3d)
                for stage in range(STAGES)
            )
        )
        self.head = nn.Linear(widths[-1], num_classes)
        layer: Step = (kernel_size, 1)
        self.steps: list[Step] = [layer, layer, layer, *[POOL, layer, layer] * (STAGES - 1)]

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of each cell.

        Volume (B, C, D, H, W) -> (B, F, D / 8, H / 8, W / 8).
        """
        return self.blocks(conv_relu(self.stem, x))


gmr_r3d = GMRR3D
