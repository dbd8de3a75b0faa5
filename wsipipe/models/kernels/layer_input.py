"""What a layer reads: features as they are, pooled, or up-sampled; or two of these, channel after channel.

The CPU kernel resamples while it reads, so that neither resampled features nor their concatenation are ever
written; everywhere else they are made first.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch

from wsipipe.models.kernels.exact import exact_pool, exact_upsample

# The CPU kernel knows these numbers.
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
    """A tensor read as it is, or the source given."""
    return LayerInput(x) if isinstance(x, torch.Tensor) else x


def joined_shape(sources: Sequence[LayerInput]) -> tuple[int, int, int, int]:
    """(B, C, H, W) of what a layer reads.

    Raises:
        ValueError: The sources differ in batch or size, or an extent to be pooled is odd.
    """
    shapes = []
    for features, scale in sources:
        batch, _, *extents = features.shape
        if scale < 0 and any(extent % 2 for extent in extents):
            raise ValueError(f"{extents[0]} x {extents[1]} px cannot be pooled: both must be even.")
        shapes.append((batch, *(int(extent * 2.0**scale) for extent in extents)))
    if len(set(shapes)) > 1:
        raise ValueError(f"The features differ in (batch, height, width): {shapes}.")
    batch, height, width = shapes[0]
    return batch, sum(source.features.shape[1] for source in sources), height, width


def joined(
    sources: Sequence[LayerInput], pool: Resample = exact_pool, upsample: Resample = exact_upsample
) -> torch.Tensor:
    """The features (B, C, [D,] H, W) that a layer reads."""
    ways: dict[int, Resample] = {POOLED: pool, AS_IS: lambda x: x, UPSAMPLED: upsample}
    made = [ways[source.scale](source.features) for source in sources]
    return made[0] if len(made) == 1 else torch.cat(made, dim=1)
