"""What is told of a network's layers: the error of each, and the cost."""

import math
from typing import Any

import torch
from torch import nn

from wsipipe.models.certificate.layer_outputs import output_errors
from wsipipe.models.certificate.measurements import SMALLEST_SIDE_PX, noise, up_to_multiple
from wsipipe.models.certificate.record import LayerError
from wsipipe.models.certificate.subject import NetworkUnderTest


def layer_errors(subject: NetworkUnderTest, height: int, width: int, dtype: torch.dtype) -> list[LayerError]:
    """Worst error of each leaf module under a quarter turn and a mirror; these make all eight."""
    return output_errors(subject.network, subject.scores, noise(subject, height, width, dtype))


def gflop_per_mpx(subject: NetworkUnderTest, dtype: torch.dtype) -> float:
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
