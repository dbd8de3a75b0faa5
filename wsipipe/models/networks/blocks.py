"""Building blocks of the networks.

Convolution with norm, folding, pooling and up-sampling.
"""

import copy
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from wsipipe.errors import ModelError
from wsipipe.models.gmr import GMRConv2d, GMRConv3d, Mode, fuse
from wsipipe.models.kernels.fused import resampled
from wsipipe.models.kernels.layer_input import POOLED, UPSAMPLED, LayerInput, as_layer_input, joined
from wsipipe.models.kernels.ring_layer import RingConv2d


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


class Pool(nn.Module):
    """:func:`pool` as a layer, which bands of rows can follow."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of 2x2[x2] blocks, half of each extent."""
        return pool(x)


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


class BlockPool2d(nn.Module):
    """Mean or maximum of each block of ``factor`` x ``factor`` px.

    Extents that are no multiples of ``factor`` are refused.
    """

    def __init__(self, factor: int, largest: bool = False) -> None:
        super().__init__()
        self.factor, self.largest = factor, largest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool features (B, C, H, W) to (B, C, H / factor, W / factor)."""
        height, width = x.shape[-2:]
        if height % self.factor or width % self.factor:
            raise ModelError(
                f"A pooling layer got {height} x {width} px, no multiple of {self.factor}: symmetric pooling "
                "needs images whose extents are multiples of the network's total stride. Pad the image."
            )
        return (functional.max_pool2d if self.largest else functional.avg_pool2d)(x, self.factor)

    def extra_repr(self) -> str:
        """Return factor and kind, as ``print`` shows them."""
        return f"{self.factor}, largest={self.largest}"
