"""Batches as tensors on the network's device."""

import numpy as np
import numpy.typing as npt
import torch

from wsipipe.models.cards.card import Normalisation
from wsipipe.training.sampling.prefetch import Arrays

Batch = dict[str, torch.Tensor]


def as_input(images: npt.NDArray[np.uint8], normalisation: Normalisation | None = None) -> torch.Tensor:
    """Convert RGB images to the input of a network.

    Args:
        images: (B, H, W, 3) uint8.
        normalisation: Offset and scale of the colours.

    Returns:
        (B, 3, H, W) float32 with channels last in memory.
    """
    return _normalised(torch.from_numpy(images), normalisation or Normalisation())


def _normalised(images: torch.Tensor, how: Normalisation) -> torch.Tensor:
    return (images.permute(0, 3, 1, 2).float() - how.offset) / how.scale


def as_tensors(arrays: Arrays, device: torch.device) -> Batch:
    """Move a batch to its device, with ``image`` normalised.

    Texts are left out.
    """
    tensors = {
        name: torch.from_numpy(values).to(device, non_blocking=True)
        for name, values in arrays.items()
        if values.dtype.kind != "U"
    }
    return tensors | {"image": _normalised(tensors["image"], Normalisation())}
