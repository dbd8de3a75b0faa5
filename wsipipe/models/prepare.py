"""Choice of the implementation that runs a network for inference."""

import logging
from collections.abc import Callable

import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.freeze import freeze
from wsipipe.models.networks.blocks import folded

log = logging.getLogger(__name__)


def scores_of(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function that scores images.

    It is the dense pass of a classifier, else the network's forward.
    """
    return getattr(network, "logit_map", network)


def prepare_network(network: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    """Return the network for inference.

    On a CPU it uses the ring kernels, bitwise equal in all orientations; else it is folded and dense. Without
    a compiler for the kernels it runs dense, which is slower and equal up to rounding.
    """
    if device == "cpu" and dtype != torch.float64:
        try:
            return freeze(network, dtype, exact=True)
        except ModelError as error:
            log.warning("The ring kernels cannot be used, so the network runs dense and slower: %s", error)
    return folded(network.double()).to(device=device, dtype=dtype, memory_format=torch.channels_last)
