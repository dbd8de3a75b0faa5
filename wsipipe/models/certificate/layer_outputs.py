"""What each leaf module of a network gives, and how far it is from turning along with the image.

A quarter turn and a mirror generate all eight orientations, so two turned runs decide.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from wsipipe.models.certificate.record import LayerError

Turn = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
TURNS: tuple[Turn, Turn] = (lambda x, axes: torch.rot90(x, 1, axes), lambda x, axes: x.flip(axes[1]))
# JSON has no infinity.
MISMATCH_ERROR = 1e6


class LayerOutput(NamedTuple):
    """One output of one call of a leaf module; ``#2`` after the name is its second."""

    name: str
    kind: str
    output: torch.Tensor


@contextmanager
def recorded_outputs(network: nn.Module) -> Iterator[list[LayerOutput]]:
    """Collects what the leaf modules give, in the order of the run."""
    calls: list[LayerOutput] = []
    times: Counter[str] = Counter()

    def hook_of(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, _: Any, output: Any) -> None:
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
    """Error of each leaf of ``network``, in the order of the run, worst of a quarter turn and a mirror.

    Args:
        network: Whose leaves are looked at.
        run: Runs it on images (B, C, H, W).
        x: The images.
    """

    def leaves(images: torch.Tensor) -> list[LayerOutput]:
        with recorded_outputs(network) as calls:
            run(images)
        return calls

    straight = leaves(x)
    errors = [0.0] * len(straight)
    for turn in TURNS:
        for index, (one, other) in enumerate(zip(straight, leaves(turn(x, (2, 3))), strict=False)):
            errors[index] = max(errors[index], _least(one.output, other.output, turn))
    return [
        LayerError(name=leaf.name, kind=leaf.kind, error=error)
        for leaf, error in zip(straight, errors, strict=True)
    ]


def answer_error(straight: torch.Tensor, turned: torch.Tensor, turn: Turn) -> float:
    """Error of an answer: maps ([B, C, H, W] or [B, H, W]) turn along, vectors stay."""
    axes = {3: (1, 2), 4: (2, 3)}.get(straight.ndim)
    ways = [] if axes is None else [relative(turned, turn(straight, axes))]
    return min([*ways, relative(turned, straight)] if straight.ndim < 4 else ways)


def _least(straight: torch.Tensor, turned: torch.Tensor, turn: Turn) -> float:
    """Error inside a network: channels may stand last, and tokens (B, N, C) be in another order."""
    ways = [answer_error(straight, turned, turn), relative(turned, straight)]
    if straight.ndim == 4:
        ways.append(relative(turned, turn(straight, (1, 2))))
    if straight.ndim == 3:
        ways.append(relative(turned.sort(1).values, straight.sort(1).values))
    return min(ways)


def relative(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Largest difference over the largest value of ``truth``; a million if shapes differ or it is NaN."""
    if found.shape != truth.shape:
        return MISMATCH_ERROR
    if not truth.numel():
        return 0.0
    found, truth = found.double(), truth.double()
    error = float((found - truth).abs().max()) / (float(truth.abs().max()) or 1.0)
    return error if math.isfinite(error) else MISMATCH_ERROR


def tensors_in(output: object) -> Iterator[torch.Tensor]:
    """Every floating tensor in tuples, lists and dicts."""
    if isinstance(output, torch.Tensor) and output.is_floating_point():
        yield output
    elif isinstance(output, dict):
        yield from (tensor for value in output.values() for tensor in tensors_in(value))
    elif isinstance(output, list | tuple):
        yield from (tensor for value in output for tensor in tensors_in(value))
