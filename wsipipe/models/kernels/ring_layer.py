"""Ring convolution of fixed weights for inference.

It resamples before and activates after the convolution in the same pass.
"""

import torch
from torch import nn
from torch.nn import functional

from wsipipe.models.kernels import fused
from wsipipe.models.kernels.layer_input import LayerInput, as_layer_input, joined
from wsipipe.models.kernels.packing import pack
from wsipipe.models.kernels.rings import Rings


class RingConv2d(nn.Module):
    """Ring convolution of fixed weights, by the compiled kernel.

    (B, in, H, W) -> (B, out, H', W'), bitwise equal in all eight orientations.
    """

    def __init__(
        self, rings: Rings, dtype: torch.dtype, padding_mode: str = "zeros", edge_px: int = 0
    ) -> None:
        super().__init__()
        self.packed = pack(rings, dtype)
        self.padding_mode, self.edge_px = padding_mode, edge_px

    def forward(
        self, *inputs: torch.Tensor | LayerInput, residual: torch.Tensor | None = None, relu: bool = False
    ) -> torch.Tensor:
        """Convolve features (B, in, H, W) to (B, out, H', W').

        The dtype is that of the packed weights.

        Args:
            inputs: Features to read; the channels of a second follow those of the first.
            residual: (B, out, H', W'), added to the result.
            relu: Whether negative results become 0.
        """
        sources = [as_layer_input(x) for x in inputs]
        if self.padding_mode == "zeros" and fused.joins(sources):
            return fused.run(sources[0], self.packed, *sources[1:], residual=residual, relu=relu)
        x = joined(sources)
        if self.padding_mode != "zeros":
            x = functional.pad(x, (self.edge_px,) * 4, mode=self.padding_mode)
        if x.device.type == "cpu":
            return fused.run(x, self.packed, residual=residual, relu=relu)
        out = fused.run(x, self.packed)
        out = out if residual is None else out + residual
        return functional.relu(out) if relu else out
