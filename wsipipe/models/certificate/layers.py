"""Error of each layer of a network, and its cost."""

import math

import torch
from torch import nn

from wsipipe.models.certificate.layer_outputs import output_errors
from wsipipe.models.certificate.measurements import SMALLEST_SIDE_PX, noise, up_to_multiple
from wsipipe.models.certificate.record import LayerError
from wsipipe.models.certificate.subject import NetworkUnderTest


def layer_errors(subject: NetworkUnderTest, height: int, width: int, dtype: torch.dtype) -> list[LayerError]:
    """Return the worst error of each leaf module.

    It is that of a quarter turn and a mirror, which generate all eight orientations.
    """
    return output_errors(subject.network, subject.scores, noise(subject, height, width, dtype))


def gflop_per_mpx(subject: NetworkUnderTest, dtype: torch.dtype) -> float:
    """Return the cost in GFLOP per megapixel of image.

    Counted are 1e9 operations (two per multiply-add) of convolution and linear modules for each 1e6 px.
    """
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
    """Return True for linear modules and all kinds of convolution.

    Ring convolutions have the sizes of a convolution too.
    """
    sizes = ("in_channels", "out_channels", "kernel_size", "groups")
    return isinstance(module, nn.Linear) or all(hasattr(module, name) for name in sizes)


def _multiply_adds(module: nn.Module, x: torch.Tensor, output: torch.Tensor) -> int:
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    side = module.kernel_size
    taps = side * side if isinstance(side, int) else math.prod(side)
    if isinstance(module, nn.ConvTranspose2d):
        return x.numel() * module.out_channels // module.groups * taps
    return output.numel() * module.in_channels // module.groups * taps
