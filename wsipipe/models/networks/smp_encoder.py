"""Ring encoders for segmentation-models-pytorch.

Call ``register()``, then ``smp.Unet("gmr_resnet18", ...)``.

The encoder keeps smp's convention (features at strides 1, 2, 4, 8, 16, 32): the stem pools to stride 2, and
each of the four stages pools first; so the first stage runs at stride 4, twice that of the classifier, whose
weights fit by name (``stem``, ``blocks``).

The decoders of smp are ordinary 3x3 convolutions: turn them into ring convolutions with
:func:`wsipipe.models.conversion.to_gmr.convert_to_gmr`. All up-sampling they use (nearest, bilinear) commutes
with the eight orientations. Only Unet, UnetPlusPlus and Linknet can also be tiled without seams. The others
depend on the whole patch (pooled or attended context, GroupNorm, or ``align_corners=True``).
"""

from collections.abc import Sequence
from itertools import pairwise

import segmentation_models_pytorch as smp
import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.gmr import GMRConv2d, Mode
from wsipipe.models.networks.blocks import check_divisible, conv_relu, gmr_conv, pool
from wsipipe.models.networks.resnet import DEEPER, DEPTHS, STEM_PX, Bottleneck, GMRResNet, ResidualBlock

MAX_DEPTH = 5


class GMRResNetEncoder(nn.Module):
    """GMR-ResNet encoder: feature maps at strides 1, 2, 4, ... 2**depth.

    Image (B, C, H, W) -> maps, finest first.

    Args:
        depths: Blocks of each stage.
        block: Kind of residual block.
        kernel_sizes: Odd kernel side of each stage, px.
        mode: Ring profile, see :mod:`wsipipe.models.gmr`.
        depth: Number of times the size is halved, 1 to 5.
        output_stride: 32; see :meth:`make_dilated` for 16 and 8.
    """

    def __init__(
        self,
        depths: Sequence[int] = DEPTHS,
        block: type[ResidualBlock] | type[Bottleneck] = ResidualBlock,
        kernel_sizes: Sequence[int] = (9, 9, 5, 5),
        mode: Mode = "radial",
        depth: int = MAX_DEPTH,
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        if not 1 <= depth <= MAX_DEPTH:
            raise ModelError(f"A ResNet encoder cannot have depth {depth}. Use 1 to {MAX_DEPTH}.")
        whole = GMRResNet(1, kernel_sizes=kernel_sizes, mode=mode, depths=depths, block=block)
        self.stem, self.mode = whole.stem, mode
        starts = [sum(depths[:stage]) for stage in range(len(depths) + 1)]
        self.blocks = whole.blocks[: starts[depth - 1]]
        self._stages = list(pairwise(starts))[: depth - 1]
        widths = [self.blocks[end - 1].out_channels for _, end in self._stages]
        self._depth, self._in_channels, self._output_stride = depth, 3, output_stride
        self._out_channels = [3, whole.stem.conv.out_channels, *widths]
        if depth > 1:
            self.blocks[0].halves = True

    @property
    def out_channels(self) -> list[int]:
        """Channels of the feature maps, finest first."""
        return self._out_channels[: self._depth + 1]

    @property
    def output_stride(self) -> int:
        """Input px per px of the last feature map."""
        return min(self._output_stride, 2**self._depth)

    def set_in_channels(self, in_channels: int, pretrained: bool = True) -> None:
        """Replace the stem's convolution by a new one of ``in_channels``."""
        if in_channels == self._in_channels:
            return
        self.stem.conv = gmr_conv(self.mode)(in_channels, self.stem.conv.out_channels, STEM_PX)
        self._in_channels, self._out_channels = in_channels, [in_channels, *self._out_channels[1:]]

    def make_dilated(self, output_stride: int) -> None:
        """Keep the size from ``output_stride`` (8 or 16) on.

        Kernels are dilated instead of pooling.
        """
        if output_stride not in (8, 16):
            raise ModelError(f"output_stride cannot be {output_stride}. Use 8, 16 or 32.")
        for stage, (start, end) in enumerate(self._stages):
            rate = 2 ** (stage + 2) // output_stride
            if rate > 1:
                self.blocks[start].halves = False
                for module in self.blocks[start:end].modules():
                    if isinstance(module, GMRConv2d):
                        module.dilation, module.padding = rate, rate * (module.kernel_size // 2)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return ``depth`` + 1 feature maps of an image (B, C, H, W), finest first."""
        check_divisible(x, self.output_stride)
        features = [x, pool(conv_relu(self.stem, x))]
        for start, end in self._stages:
            features.append(self.blocks[start:end](features[-1]))
        return features


def register() -> None:
    """Register ``gmr_resnet18``, ``gmr_resnet34`` and ``gmr_resnet50`` with smp.

    They have no pretrained weights.
    """
    kinds = {
        "gmr_resnet18": (DEPTHS, ResidualBlock),
        "gmr_resnet34": (DEEPER, ResidualBlock),
        "gmr_resnet50": (DEEPER, Bottleneck),
    }
    for name, (depths, block) in kinds.items():
        smp.encoders.encoders[name] = {
            "encoder": GMRResNetEncoder,
            "pretrained_settings": {},
            "params": {"depths": depths, "block": block},
        }
