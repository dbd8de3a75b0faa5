"""Preparation of networks for inference.

BatchNorm is folded, ring weights are packed once, and the fastest implementation is chosen.
"""

import copy

import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.gmr import GMRConv2d, fuse, norm_as_affine
from wsipipe.models.kernels import fused
from wsipipe.models.kernels.choice import choose
from wsipipe.models.kernels.ring_layer import RingConv2d
from wsipipe.models.kernels.rings import Rings
from wsipipe.models.networks.blocks import ConvNorm


def freeze(model: nn.Module, dtype: torch.dtype = torch.float32, exact: bool = False) -> nn.Module:
    """Return a copy of ``model`` for inference.

    It runs on the device it is on, in ``dtype``, channels-last.

    Args:
        model: Any network; its ring convolutions, and the BatchNorm after them, are folded.
        dtype: float32 or bfloat16; inputs must have it.
        exact: Run every convolution that can by the ring kernel, also where another way is faster, so that no
            convolution depends on the orientation, not even by rounding.

    Raises:
        ModelError: A weight is NaN or infinite, or ``exact`` is set and the kernel is not available.
    """
    model = copy.deepcopy(model).eval()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            conv, norm = (child.conv, child.norm) if isinstance(child, ConvNorm) else (child, None)
            if isinstance(conv, GMRConv2d | nn.Conv2d) and not isinstance(parent, ConvNorm):
                setattr(parent, name, _frozen(conv, norm, dtype, exact))
    return model.to(dtype).to(memory_format=torch.channels_last)


def _frozen(conv: nn.Module, norm: nn.Module | None, dtype: torch.dtype, exact: bool) -> nn.Module:
    rings = _as_rings(conv)
    if rings is None:
        return conv if norm is None else fuse(conv, norm)
    device = conv.weight.device
    wanted = exact or choose(rings, device, dtype, training=False) == "fused"
    covered = fused.supports(rings, device, dtype)
    if exact and not covered:
        raise ModelError(
            f"The layer {conv} cannot run bitwise exact here: it needs a compiler, no groups, no dilation "
            f"and a side among {fused.SIDES['cpu']}. Use exact=False, which is exact up to rounding."
        )
    if not (wanted and covered):
        return fuse(conv, norm)
    gmr = isinstance(conv, GMRConv2d)
    edges = (conv.padding_mode, conv.padding) if gmr else ("zeros", 0)
    return RingConv2d(_with_norm(rings, norm), dtype, *edges)


def _as_rings(conv: nn.Module) -> Rings | None:
    """Return a convolution as rings; None if it is neither GMR nor plain 1x1.

    A plain 1x1 convolution is one ring.
    """
    if isinstance(conv, GMRConv2d):
        # The profiles in float64: exp in float32 differs in its last bit between processors.
        return copy.deepcopy(conv).double().as_rings()
    if (
        type(conv) is not nn.Conv2d
        or conv.kernel_size != (1, 1)
        or conv.stride != (1, 1)
        or conv.padding != (0, 0)
    ):
        return None
    return Rings(
        weight=conv.weight.flatten(2),
        basis=conv.weight.new_ones(1, 1),
        cells=torch.zeros(1, dtype=torch.int64, device=conv.weight.device),
        hard=None,
        bias=conv.bias,
        kernel_size=1,
        padding=0,
        dilation=1,
        groups=conv.groups,
        dims=2,
    )


def _with_norm(rings: Rings, norm: nn.Module | None) -> Rings:
    weight = rings.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if rings.bias is None else rings.bias.detach().double()
    if norm is not None:
        scale, shift = norm_as_affine(norm)
        weight, bias = weight * scale[:, None, None], bias * scale + shift
    if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise ModelError("The folded weights hold NaN or infinity; load undamaged weights and try again.")
    return Rings(**{**vars(rings), "weight": weight.float(), "bias": bias.float()})
