"""What forward hooks tell of a network: the error of each layer, and the cost."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from wsipipe.geometry import Orientation
from wsipipe.models.certificate_measures import (
    SMALLEST_SIDE_PX,
    noise,
    relative,
    turned,
    turned_back,
    up_to_multiple,
)
from wsipipe.models.certificate_record import LayerError
from wsipipe.models.certificate_subject import Subject


@contextmanager
def recorded_leaves(network: nn.Module) -> Iterator[list[tuple[str, str, torch.Tensor]]]:
    """Collects (name, class, output) of each call of a leaf module, in order."""
    calls: list[tuple[str, str, torch.Tensor]] = []
    times: Counter[str] = Counter()

    def hook_of(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, _: Any, output: Any) -> None:
            times[name] += 1
            if isinstance(output, torch.Tensor) and output.ndim in (2, 4):
                label = name if times[name] == 1 else f"{name}#{times[name]}"
                calls.append((label, type(module).__name__, output.detach().clone()))

        return keep

    leaves = [(name, module) for name, module in network.named_modules() if not any(module.children())]
    handles = [module.register_forward_hook(hook_of(name)) for name, module in leaves]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def layer_errors(subject: Subject, height: int, width: int, dtype: torch.dtype) -> list[LayerError]:
    """Worst error of each leaf module under a quarter turn, a mirror, and both; these make all eight."""
    x = noise(subject, height, width, dtype)

    def leaves(image: torch.Tensor) -> list[tuple[str, str, torch.Tensor]]:
        with recorded_leaves(subject.network) as calls:
            subject.scores(image)
        return calls

    straight = leaves(x)
    errors = np.zeros(len(straight))
    for orientation in (Orientation.R90, Orientation.M0, Orientation.M90):
        for index, (_, _, output) in enumerate(leaves(turned(x, orientation))):
            errors[index] = max(errors[index], _least(output, straight[index][2], orientation))
    return [
        LayerError(name=name, kind=kind, error=error)
        for (name, kind, _), error in zip(straight, errors.tolist(), strict=True)
    ]


def _least(output: torch.Tensor, straight: torch.Tensor, orientation: Orientation) -> float:
    """Error of channels first, or of channels last, as some layers have them; whichever is less."""
    pairs = [(output, straight)]
    if output.ndim == 4:
        pairs.append((output.movedim(3, 1), straight.movedim(3, 1)))
    return min(relative(turned_back(one.double(), orientation), two.double()) for one, two in pairs)


def gflop_per_mpx(subject: Subject, dtype: torch.dtype) -> float:
    """1e9 operations (two a multiply-add) of convolution and linear modules for each 1e6 px of image."""
    side = up_to_multiple(SMALLEST_SIDE_PX, subject.lattice_px)
    multiply_adds = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal multiply_adds
        multiply_adds += _multiply_adds(module, inputs[0], output)

    counted = [module for module in subject.network.modules() if _is_counted(module)]
    handles = [module.register_forward_hook(count) for module in counted]
    try:
        subject.scores(noise(subject, side, side, dtype))
    finally:
        for handle in handles:
            handle.remove()
    return 2 * multiply_adds / 1e9 / (side * side / 1e6)


def _is_counted(module: nn.Module) -> bool:
    """Linear modules, and whatever has the sizes of a convolution, ring convolutions too."""
    sizes = ("in_channels", "out_channels", "kernel_size", "groups")
    return isinstance(module, nn.Linear) or all(hasattr(module, name) for name in sizes)


def _multiply_adds(module: Any, given: torch.Tensor, output: torch.Tensor) -> int:
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    side = module.kernel_size
    taps = side * side if isinstance(side, int) else math.prod(side)
    if isinstance(module, nn.ConvTranspose2d):
        return given.numel() * module.out_channels // module.groups * taps
    return output.numel() * module.in_channels // module.groups * taps
