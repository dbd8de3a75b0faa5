"""Building blocks of the networks.

Convolution with norm, folding, pooling, up-sampling, and receptive fields.
"""

import copy
from collections.abc import Sequence
from math import prod
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from wsipipe.errors import ModelError
from wsipipe.models.gmr import GMRConv2d, GMRConv3d, Mode, fuse
from wsipipe.models.kernels.fused import resampled
from wsipipe.models.kernels.layer_input import POOLED, UPSAMPLED, LayerInput, as_layer_input, joined
from wsipipe.models.kernels.ring_layer import RingConv2d
from wsipipe.models.kernels.rings import CONVOLVE

Span = tuple[int, int]
Step = tuple[int, int]
POOL: Step = (2, 2)


class ConvFactory(Protocol):
    """Factory of bias-free convolutions, same size out.

    Networks take one to become a baseline of another kind of convolution.
    """

    def __call__(self, in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> nn.Module:
        """Return the convolution (B, in, H, W) -> (B, out, H, W)."""
        ...


def plain_conv3d(in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> nn.Conv3d:
    """Return an ordinary bias-free convolution of volumes, same size out."""
    padding = kernel_size // 2
    return nn.Conv3d(in_channels, out_channels, kernel_size, padding=padding, groups=groups, bias=False)


def plain_conv(in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> nn.Conv2d:
    """Return an ordinary bias-free convolution, same size out.

    It is the baseline, which is not equivariant.
    """
    padding = kernel_size // 2
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, groups=groups, bias=False)


def gmr_conv(mode: Mode, dims: int = 2) -> ConvFactory:
    """Return a factory of bias-free ring convolutions of one ``mode``.

    With 3 ``dims`` they are shell convolutions. Same size out.
    """
    kind = {2: GMRConv2d, 3: GMRConv3d}[dims]

    def make(in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> nn.Module:
        return kind(in_channels, out_channels, kernel_size, groups=groups, bias=False, mode=mode)

    return make


class ConvNorm(nn.Module):
    """Convolution and BatchNorm, which inference folds into one."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        volume = isinstance(conv, nn.Conv3d | GMRConv3d)
        self.norm = (nn.BatchNorm3d if volume else nn.BatchNorm2d)(conv.out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers to features.

        (B, in, [D,] H, W) -> (B, out, [D,] H, W).
        """
        return self.norm(self.conv(x))


def pool(x: torch.Tensor) -> torch.Tensor:
    """Return the mean of 2x2[x2] blocks, half of each extent.

    (B, C, [D,] H, W); in inference mode, images are bitwise equal in all orientations.
    """
    if x.ndim == 5:
        return functional.avg_pool3d(x, 2)
    return (
        resampled(LayerInput(x, POOLED)) if torch.is_inference_mode_enabled() else functional.avg_pool2d(x, 2)
    )


def upsample(x: torch.Tensor) -> torch.Tensor:
    """Up-sample twice, bilinearly by pixel centres.

    (B, C, H, W) -> (B, C, 2 H, 2 W); in inference mode bitwise equal in all orientations.
    """
    if torch.is_inference_mode_enabled():
        return resampled(LayerInput(x, UPSAMPLED))
    out = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    if out.requires_grad and x.ndim == 4:
        # After a concatenation the gradient comes in slices, for which torch's backward is slow.
        out.register_hook(lambda grad: grad.contiguous(memory_format=torch.channels_last))
    return out


def convolved(layer: nn.Module, *inputs: torch.Tensor | LayerInput) -> torch.Tensor:
    """Apply a convolution (or an identity in its place) to its inputs.

    Two inputs are joined channel after channel.
    """
    if isinstance(layer, RingConv2d):
        return layer(*inputs)
    return layer(joined([as_layer_input(x) for x in inputs], pool, upsample))


def conv_relu(
    layer: nn.Module, *inputs: torch.Tensor | LayerInput, residual: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the ReLU of a convolution plus ``residual``.

    A frozen ring convolution does it in one pass. ``layer`` must return a new tensor: in inference mode its
    output is overwritten.
    """
    if isinstance(layer, RingConv2d):
        return layer(*inputs, residual=residual, relu=True)
    out = convolved(layer, *inputs)
    if torch.is_inference_mode_enabled():
        # In place, as the earlier values are not needed; large tensors cost page faults.
        return functional.relu_(out if residual is None else out.add_(residual))
    return functional.relu(out if residual is None else out + residual)


def folded(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode with every ConvNorm folded.

    Each becomes one plain convolution.
    """
    model = copy.deepcopy(model).eval()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ConvNorm):
                setattr(parent, name, fuse(child.conv, child.norm))
            elif isinstance(child, GMRConv2d | GMRConv3d) and not isinstance(parent, ConvNorm):
                setattr(parent, name, fuse(child))
    return model


def check_divisible(x: torch.Tensor, multiple: int) -> None:
    """Refuse extents that pooling would cut unevenly.

    Raises:
        ModelError: An extent of ``x`` (B, C, [D,] H, W) is not a multiple of ``multiple`` px.
    """
    extents = x.shape[2:]
    if any(extent % multiple for extent in extents):
        given, padded = (
            " x ".join(str(extent) for extent in one)
            for one in (extents, [-(-extent // multiple) * multiple for extent in extents])
        )
        raise ModelError(
            f"The network was given {given} px; all must be multiples of {multiple} for symmetric pooling. "
            f"Pad with white to {padded} px."
        )


def check_stages(kernel_sizes: Sequence[int], stages: int) -> tuple[int, ...]:
    """Return the kernel sizes as a tuple, one for each stage.

    Raises:
        ModelError: There are more or fewer than ``stages``.
    """
    if len(kernel_sizes) != stages:
        raise ModelError(f"kernel_sizes {tuple(kernel_sizes)} do not fit; give {stages}, one for each stage.")
    return tuple(kernel_sizes)


def before(span: Span, step: Step) -> Span:
    """Return the first and last px that a layer reads for ``span``.

    The layer has (kernel side, stride).
    """
    side, stride = step
    return span[0] * stride - (side - 1) // 2, span[1] * stride + side // 2


def before_upsample(span: Span) -> Span:
    """Return the first and last px that bilinear 2x up-sampling reads for ``span``."""
    return (span[0] - 1) // 2, (span[1] - 1) // 2 + 1


def halo_of(span: Span, cell_px: int) -> int:
    """Return the halo of a cell of ``cell_px`` at the origin, px.

    It is the context needed on each side, rounded up to whole cells.
    """
    halo_px = max(-span[0], span[1] - cell_px + 1)
    return -(-halo_px // cell_px) * cell_px


def dense_halo(steps: Sequence[Step], window: int) -> int:
    """Return the halo of a dense pass, px.

    ``steps`` are followed backwards from a window of ``window`` cells along a side.
    """
    span = before((0, 0), (window, 1))
    for step in reversed(steps):
        span = before(span, step)
    return halo_of(span, prod(stride for _, stride in steps))


class DenseClassifier(nn.Module):
    """Classifier that also runs densely over an image.

    Tile (B, C, H, W) -> class scores; in one dense pass, image -> a map of them, with one cell per ``stride``
    px. Also for volumes (B, C, D, H, W). The head is linear, so the mean of the cells' scores is the score of
    the tile.

    Attributes:
        steps: (kernel side, stride) of each layer on the path with the largest receptive field, first layer
            first.
        window: Odd number of cells along a side that :meth:`logit_map` averages.
        head: Features of a cell -> class scores.
    """

    steps: list[Step]
    window: int
    head: nn.Linear

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of each cell.

        Image (B, C, H, W) -> (B, F, H / stride, W / stride).
        """
        raise NotImplementedError(f"{type(self).__name__} must define features()")

    @property
    def stride(self) -> int:
        """Image px per cell, along each axis."""
        return prod(stride for _, stride in self.steps)

    @property
    def lattice_px(self) -> int:
        """Divisor of patch origins and extents."""
        return self.stride

    @property
    def halo_px(self) -> int:
        """Context that :meth:`logit_map` needs on each side of a core, px.

        The core lies on the lattice.
        """
        return dense_halo(self.steps, self.window)

    def cells(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw class scores of each cell, without window means.

        Image (B, C, H, W) -> (B, classes, H / stride, W / stride).
        """
        check_divisible(x, self.stride)
        return self._scores(self.features(x))

    def _scores(self, features: torch.Tensor) -> torch.Tensor:
        """Return raw class scores of the features of each cell."""
        dims = features.ndim - 2
        weight, bias = self.head.weight.reshape(*self.head.weight.shape, *(1,) * dims), self.head.bias
        if torch.is_inference_mode_enabled():
            # Few cells, so float64 is cheap; what the order of a sum changes is then below any stored level.
            features, weight, bias = features.double(), weight.double(), bias.double()
        return CONVOLVE[dims](features, weight, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw class scores (B, classes) of tiles (B, C, H, W)."""
        return self.cells(x).flatten(2).mean(dim=2)

    def logit_map(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw class scores of each cell, as means of a window.

        Image (B, C, H, W) -> (B, classes, H / stride, W / stride).
        """
        return self._window_means(self.cells(x))

    def logit_and_feature_maps(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the :meth:`logit_map` and window means of the features.

        The means are (B, F, H / stride, W / stride) float64.
        """
        check_divisible(x, self.stride)
        features = self.features(x)
        return self._window_means(self._scores(features)), self._window_means(features.double())

    def _window_means(self, values: torch.Tensor) -> torch.Tensor:
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        mean = {2: functional.avg_pool2d, 3: functional.avg_pool3d}[values.ndim - 2]
        return mean(values, self.window, 1, self.window // 2, count_include_pad=False)
