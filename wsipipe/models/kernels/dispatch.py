"""Dispatch of a layer to one of the exact implementations."""

from typing import Literal

import torch

from wsipipe.models.kernels.choice import choose
from wsipipe.models.kernels.fused import supports
from wsipipe.models.kernels.fused_gradient import fused
from wsipipe.models.kernels.rings import Rings, dense, two_step

Impl = Literal["auto", "dense", "two_step", "fused"]
IMPLS = ("auto", "dense", "two_step", "fused")


def ring_conv(x: torch.Tensor, rings: Rings, impl: Impl) -> torch.Tensor:
    """Convolve features (B, in, ...) to (B, out, ...).

    The result has the dtype of ``x``, or of autocast. ``fused`` falls back to dense where the compiled kernel
    does not cover the layer: 3-D, groups, dilation, float64, or no compiler.
    """
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    if impl == "auto":
        training = torch.is_grad_enabled() and (x.requires_grad or rings.weight.requires_grad)
        impl = choose(rings, x.device, dtype, training)
    if impl == "two_step":
        return two_step(x, rings)
    if impl == "fused" and supports(rings, x.device, dtype):
        return fused(x.to(dtype), rings)
    return dense(x, rings)
