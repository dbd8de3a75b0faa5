"""Outputs of a network's leaf modules and their equivariance errors.

A quarter turn and a mirror generate all eight orientations, so two runs on transformed images decide.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn

from wsipipe.models.certificate.record import LayerError

Turn = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
TURNS: tuple[Turn, Turn] = (lambda x, axes: torch.rot90(x, 1, axes), lambda x, axes: x.flip(axes[1]))
MISMATCH_ERROR = 1e6
"""Error of outputs of unlike shape, and of NaN; JSON has no infinity."""


class LayerOutput(NamedTuple):
    """One output of one call of a leaf module.

    ``#2`` after the name marks its second output.
    """

    name: str
    kind: str
    output: torch.Tensor


@contextmanager
def recorded_outputs(network: nn.Module) -> Iterator[list[LayerOutput]]:
    """Record the outputs of the leaf modules, in execution order."""
    calls: list[LayerOutput] = []
    times: Counter[str] = Counter()

    def hook_of(name: str) -> Callable[[nn.Module, object, object], None]:
        def keep(module: nn.Module, _: object, output: object) -> None:
            for tensor in tensors_in(output):
                times[name] += 1
                label = name if times[name] == 1 else f"{name}#{times[name]}"
                # A later layer may write in place.
                calls.append(LayerOutput(label, type(module).__name__, tensor.detach().clone()))

        return keep

    leaves = [(name, module) for name, module in network.named_modules() if not any(module.children())]
    handles = [module.register_forward_hook(hook_of(name)) for name, module in leaves]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def output_errors(
    network: nn.Module, run: Callable[[torch.Tensor], object], x: torch.Tensor
) -> list[LayerError]:
    """Return the equivariance error of each leaf module, in execution order.

    Each is the larger one of a quarter turn and a mirror.

    Args:
        network: Network whose leaf modules are measured.
        run: Function that runs it on images (B, C, H, W).
        x: The images.
    """

    def outputs(images: torch.Tensor) -> list[LayerOutput]:
        with recorded_outputs(network) as calls:
            run(images)
        return calls

    upright = outputs(x)
    errors = [0.0] * len(upright)
    for turn in TURNS:
        for index, (one, other) in enumerate(zip(upright, outputs(turn(x, (2, 3))), strict=False)):
            errors[index] = max(errors[index], _smallest_error(one.output, other.output, turn))
    return [
        LayerError(name=leaf.name, kind=leaf.kind, error=error)
        for leaf, error in zip(upright, errors, strict=True)
    ]


def equivariance_error(upright: torch.Tensor, rotated: torch.Tensor, turn: Turn) -> float:
    """Return the error of an output; maps rotate along, vectors do not.

    Maps are [B, C, H, W] or [B, H, W].
    """
    axes = {3: (1, 2), 4: (2, 3)}.get(upright.ndim)
    ways = [] if axes is None else [relative_error(rotated, turn(upright, axes))]
    return min([*ways, relative_error(rotated, upright)] if upright.ndim < 4 else ways)


def _smallest_error(upright: torch.Tensor, rotated: torch.Tensor, turn: Turn) -> float:
    """Return the error inside a network, over the possible axis orders.

    Channels may be last, and tokens (B, N, C) be in another order.
    """
    ways = [equivariance_error(upright, rotated, turn), relative_error(rotated, upright)]
    if upright.ndim == 4:
        ways.append(relative_error(rotated, turn(upright, (1, 2))))
    if upright.ndim == 3:
        ways.append(relative_error(rotated.sort(1).values, upright.sort(1).values))
    return min(ways)


def relative_error(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the largest difference over the largest value of ``truth``.

    It is a million if shapes differ or it is NaN.
    """
    if found.shape != truth.shape:
        return MISMATCH_ERROR
    if not truth.numel():
        return 0.0
    found, truth = found.double(), truth.double()
    error = float((found - truth).abs().max()) / (float(truth.abs().max()) or 1.0)
    return error if math.isfinite(error) else MISMATCH_ERROR


def tensors_in(output: object) -> Iterator[torch.Tensor]:
    """Yield every floating-point tensor in tuples, lists and dicts."""
    if isinstance(output, torch.Tensor) and output.is_floating_point():
        yield output
    elif isinstance(output, dict):
        yield from (tensor for value in output.values() for tensor in tensors_in(value))
    elif isinstance(output, list | tuple):
        yield from (tensor for value in output for tensor in tensors_in(value))
