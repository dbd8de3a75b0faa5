"""Layers of a frozen network in the order in which they run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from wsipipe.models.kernels import fused
from wsipipe.models.kernels.layer_input import POOLED, LayerInput, Scale, as_layer_input
from wsipipe.models.kernels.ring_layer import RingConv2d
from wsipipe.models.networks.blocks import Pool

Body = Callable[[torch.Tensor], torch.Tensor]
IMAGE = 0
"""Number of the image among the layers; the first layer is 1."""


class Source(NamedTuple):
    """A layer (or the image) whose features another reads, and how."""

    layer: int
    scale: Scale


@dataclass(frozen=True)
class Layer:
    """A ring convolution, or pooling on its own.

    Attributes:
        conv: The convolution; None for pooling.
        sources: One or two inputs, channel after channel.
        residual: Number of the layer that is added, or None.
        relu: Whether negative results become 0.
        channels: Channels of the result.
        stride: Image px per px of the result, along y and x.
    """

    conv: RingConv2d | None
    sources: tuple[Source, ...]
    residual: int | None
    relu: bool
    channels: int
    stride: int

    @property
    def side(self) -> int:
        """Kernel side in px of what it reads."""
        return 1 if self.conv is None else self.conv.packed.kernel_size


def record(network: nn.Module, body: Body, lattice_px: int) -> tuple[Layer, ...] | None:
    """Return the layers of a network, or None if there are others than these.

    The network runs once on a small image. All its layers must be ring convolutions for the CPU that keep the
    size, and :class:`Pool`; nothing else may change features on the way.

    Args:
        network: Frozen network.
        body: The network, or the part of it that gives the features: (B, 3, H, W) -> (B, F, h, w).
        lattice_px: Divisor of the sides of images.
    """
    kinds = (RingConv2d, Pool)
    convs = [module for module in network.modules() if isinstance(module, kinds)]
    if not any(isinstance(module, RingConv2d) for module in convs):
        return None
    dtype = next(module.packed.dtype for module in convs if isinstance(module, RingConv2d))
    calls: list[_Call] = []

    def note(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], out: torch.Tensor) -> None:
        sources = [as_layer_input(x) for x in args]
        calls.append(
            _Call(module, sources, named.get("residual"), named.get("relu", False), out, out.clone())
        )

    hooks = [module.register_forward_hook(note, with_kwargs=True) for module in convs]
    # Numbers that no layer leaves as they are, so that a change in place is seen.
    image = (
        torch.linspace(-1, 1, 3 * 4 * lattice_px**2).reshape(1, 3, 2 * lattice_px, 2 * lattice_px).to(dtype)
    )
    try:
        with torch.inference_mode():
            result = body(image)
    finally:
        for hook in hooks:
            hook.remove()
    return _layers(calls, image, result)


class _Call(NamedTuple):
    module: nn.Module
    sources: list[LayerInput]
    residual: torch.Tensor | None
    relu: bool
    out: torch.Tensor
    before: torch.Tensor
    """The result, copied before later layers saw it."""


def _layers(calls: list[_Call], image: torch.Tensor, result: torch.Tensor) -> tuple[Layer, ...] | None:
    numbers = {id(image): IMAGE}
    layers = []
    for number, call in enumerate(calls, 1):
        layer = _layer(call, numbers, image)
        if layer is None:
            return None
        layers.append(layer)
        numbers[id(call.out)] = number
    if not calls or result is not calls[-1].out:
        return None
    return tuple(layers)


def _layer(call: _Call, numbers: dict[int, int], image: torch.Tensor) -> Layer | None:
    read = [features for features, _ in call.sources] + ([] if call.residual is None else [call.residual])
    if any(id(features) not in numbers for features in read) or not torch.equal(call.out, call.before):
        return None
    sources = tuple(Source(numbers[id(features)], scale) for features, scale in call.sources)
    residual = None if call.residual is None else numbers[id(call.residual)]
    stride = image.shape[-1] // call.out.shape[-1]
    if isinstance(call.module, Pool):
        return Layer(None, (Source(sources[0].layer, POOLED),), None, False, call.out.shape[1], stride)
    conv = call.module
    if not isinstance(conv, RingConv2d) or conv.padding_mode != "zeros" or not fused.joins(call.sources):
        return None
    same_size = conv.packed.padding == conv.packed.kernel_size // 2
    return Layer(conv, sources, residual, call.relu, call.out.shape[1], stride) if same_size else None
