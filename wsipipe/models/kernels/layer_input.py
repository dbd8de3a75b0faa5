"""Inputs of a layer: features as they are, pooled or up-sampled.

A layer may read two of these, channel after channel. The CPU kernel resamples while it reads, so that neither
resampled features nor their concatenation are ever written; everywhere else they are computed first.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch

from wsipipe.models.kernels.exact import exact_pool, exact_upsample

# ring_conv.cpp uses the same numbers.
Scale = Literal[-1, 0, 1]
POOLED: Scale = -1
AS_IS: Scale = 0
UPSAMPLED: Scale = 1
Resample = Callable[[torch.Tensor], torch.Tensor]


class LayerInput(NamedTuple):
    """Features (B, C, h, w) and how they are read.

    Attributes:
        features: The tensor.
        scale: ``AS_IS``, ``POOLED`` to half the size or ``UPSAMPLED`` to twice.
    """

    features: torch.Tensor
    scale: Scale = AS_IS


def as_layer_input(x: torch.Tensor | LayerInput) -> LayerInput:
    """Wrap a tensor to be read as it is; return other inputs unchanged."""
    return LayerInput(x) if isinstance(x, torch.Tensor) else x


def joined_shape(inputs: Sequence[LayerInput]) -> tuple[int, int, int, int]:
    """Return (B, C, H, W) of what a layer reads.

    Raises:
        ValueError: The inputs differ in batch or size, or an extent to be pooled is odd.
    """
    shapes = []
    for features, scale in inputs:
        batch, _, *extents = features.shape
        if scale < 0 and any(extent % 2 for extent in extents):
            raise ValueError(f"{extents[0]} x {extents[1]} px cannot be pooled: both must be even.")
        shapes.append((batch, *(int(extent * 2.0**scale) for extent in extents)))
    if len(set(shapes)) > 1:
        raise ValueError(f"The features differ in (batch, height, width): {shapes}.")
    batch, height, width = shapes[0]
    return batch, sum(one.features.shape[1] for one in inputs), height, width


def joined(
    inputs: Sequence[LayerInput], pool: Resample = exact_pool, upsample: Resample = exact_upsample
) -> torch.Tensor:
    """Return the features (B, C, [D,] H, W) that a layer reads."""
    resample: dict[int, Resample] = {POOLED: pool, AS_IS: lambda x: x, UPSAMPLED: upsample}
    features = [resample[one.scale](one.features) for one in inputs]
    return features[0] if len(features) == 1 else torch.cat(features, dim=1)
