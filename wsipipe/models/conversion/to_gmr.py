"""Conversion of CNNs to networks that commute with the eight orientations.

Replacements; kernels are initialised, all other weights are kept:

    convolution k x k                     ring convolution, same size out
    the same with stride s                s x s average pooling, then ring convolution
    1x1 with stride s                     s x s average pooling, then the same 1x1
    max or average pooling k x k, stride s  s x s pooling: of its kind if k = s, else average
    transposed convolution, stride s      bilinear up-sampling, then ring convolution

The result is run on random images, with every parameter perturbed so that no zero hides a fault: it passes,
or :class:`wsipipe.errors.ModelError` names the first module that breaks. Norms over the patch (InstanceNorm,
GroupNorm) commute and are kept, with a warning: tiles of such a network show seams.
"""

import copy
import logging
from collections.abc import Callable, Sequence

import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.certificate.equivariance import first_non_equivariant_layer
from wsipipe.models.gmr import GMRConv2d, Mode
from wsipipe.models.networks.blocks import BlockPool2d

log = logging.getLogger(__name__)
EXTENT_PX = (64, 96)
SEAMS = (nn.InstanceNorm2d, nn.GroupNorm)
REFUSED: dict[type[nn.Module], str] = {
    nn.PixelShuffle: "channels become positions; use bilinear up-sampling and a convolution",
    nn.PixelUnshuffle: "positions become channels; use average pooling and a convolution",
    nn.MaxUnpool2d: "it needs the positions of the maxima; use bilinear up-sampling",
    nn.MultiheadAttention: "attention to positions has no ring form; use a convolutional block",
    nn.Conv1d: "only convolutions over two axes are converted",
    nn.Conv3d: "only convolutions over two axes are converted; see GMRConv3d",
}
Symmetric = tuple[int, int, int, int]


def convert_to_gmr(
    model: nn.Module,
    kernel_sizes: int | Sequence[int],
    mode: Mode = "radial",
    example: torch.Tensor | None = None,
) -> nn.Module:
    """Return a copy of ``model`` that commutes with quarter turns and mirrors.

    The copy is in eval mode.

    Args:
        model: Images (B, C, H, W) -> maps or class scores. It is not changed.
        kernel_sizes: Odd kernel side, px: one for all, or one for each resolution at which the model
            convolves, finest first (the last serves the coarser ones too). Dilated convolutions keep theirs.
        mode: Ring profile, see :mod:`wsipipe.models.gmr`.
        example: Two or more images that the model takes, their extents multiples of its total stride; None
            for random ones of 64 x 96 px.

    Raises:
        ModelError: A module cannot be converted, or the result does not commute; names the module.
    """
    holder = nn.Sequential(copy.deepcopy(model).eval())
    example = _random_images(holder) if example is None else example
    sides = _sides(holder, (kernel_sizes,) if isinstance(kernel_sizes, int) else kernel_sizes, example)
    done: dict[nn.Module | None, nn.Module] = {}
    for path, parent in list(holder.named_modules()):
        for name, child in list(parent._modules.items()):
            where = f"{path}.{name}".removeprefix(".0.").removeprefix("0.")
            if child is not None and child not in done:
                done[child] = _converted(where, child, sides.get(child, 0), mode)
            parent._modules[name] = done.get(child)
    converted = holder[0]
    broken = first_non_equivariant_layer(converted, example)
    if broken is not None:
        raise ModelError(
            f"The converted {type(model).__name__} does not commute with the eight orientations: the first "
            f"module that breaks is {broken}. Replace it, or the operation right before it (such as "
            "flattening positions, adding an encoding of position, or striding), by a symmetric form."
        )
    _warn_of_seams(converted)
    return converted


def _converted(where: str, module: nn.Module, side: int, mode: Mode) -> nn.Module:
    """Return the replacement of one module.

    A module that already commutes, or that holds others, is returned itself.
    """
    if type(module) in REFUSED:
        _refuse(where, module, REFUSED[type(module)])
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) > 1:
        _refuse(where, module, "it has a weight per position; normalise over channels only")
    makers: dict[type, Callable[..., nn.Module]] = {
        nn.Conv2d: _ring_conv,
        nn.ConvTranspose2d: _up_ring_conv,
        nn.MaxPool2d: _pool,
        nn.AvgPool2d: _pool,
    }
    maker = makers.get(type(module))
    return module if maker is None else maker(where, module, side, mode)


def _ring_conv(where: str, conv: nn.Conv2d, side: int, mode: Mode) -> nn.Module:
    kernel, stride, padding, dilation = _symmetric(where, conv)
    if kernel == 1 and stride == 1:
        return conv
    offset = 2 * padding - dilation * (kernel - 1) - 1
    if stride == 1 and kernel % 2 == 0:
        _refuse(where, conv, f"a {kernel} px kernel shifts by half a pixel; use an odd one")
    if stride > 1 and not -stride <= offset <= -1:
        _refuse(where, conv, f"it does not give 1/{stride} of the size; use padding {(kernel - 1) // 2}")
    if kernel == 1:
        same = copy.deepcopy(conv)
        same.stride = (1, 1)
        return nn.Sequential(BlockPool2d(stride), same)
    side = kernel if dilation > 1 and kernel % 2 else side
    room = None if stride > 1 else padding + dilation * (side - kernel) // 2
    if room is not None and room < 0:
        side, room = kernel, padding
    ring = _ring_like(conv, side, mode, room, dilation)
    return nn.Sequential(BlockPool2d(stride), ring) if stride > 1 else ring


def _up_ring_conv(where: str, conv: nn.ConvTranspose2d, side: int, mode: Mode) -> nn.Module:
    kernel, stride, padding, dilation = _symmetric(where, conv)
    extra = conv.output_padding
    if len(set(extra)) > 1 or dilation * (kernel - 1) + extra[0] + 1 - stride - 2 * padding != 0:
        _refuse(where, conv, f"it does not give {stride} times the size; set padding and output_padding so")
    ring = _ring_like(conv, side, mode, None, 1)
    if stride == 1:
        return ring
    return nn.Sequential(nn.Upsample(scale_factor=stride, mode="bilinear", align_corners=False), ring)


def _ring_like(
    conv: nn.Conv2d | nn.ConvTranspose2d, side: int, mode: Mode, padding: int | None, dilation: int
) -> GMRConv2d:
    """Return a ring convolution like ``conv``.

    It has the same channels, groups, bias, device and dtype.
    """
    ring = GMRConv2d(
        conv.in_channels,
        conv.out_channels,
        side,
        padding=padding,
        dilation=dilation,
        groups=conv.groups,
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
        mode=mode,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    if ring.bias is not None and conv.bias is not None:
        ring.bias.data.copy_(conv.bias.data)
    return ring.eval()


def _pool(where: str, pool: nn.MaxPool2d | nn.AvgPool2d, side: int, mode: Mode) -> nn.Module:
    largest = isinstance(pool, nn.MaxPool2d)
    if largest and pool.return_indices:
        _refuse(where, pool, "the positions of the maxima rotate with the image; do not set return_indices")
    kernel, stride, padding, _ = _symmetric(where, pool)
    if stride == 1:
        return pool
    return BlockPool2d(stride, largest=largest and kernel == stride and padding == 0)


def _symmetric(where: str, module: nn.Module) -> Symmetric:
    """Return kernel side, stride, padding and dilation.

    They must be the same along y and x.
    """
    kernel, dilation = _pair(module.kernel_size), _pair(getattr(module, "dilation", 1))
    padding = module.padding
    if isinstance(padding, str):
        padding = 0 if padding == "valid" else dilation[0] * (kernel[0] - 1) // 2
    pairs = (kernel, _pair(module.stride), _pair(padding), dilation)
    if any(len(set(pair)) > 1 for pair in pairs):
        _refuse(where, module, f"kernel, stride, padding, dilation {pairs} differ between y and x")
    side, stride, around, spread = (pair[0] for pair in pairs)
    return side, stride, around, spread


def _pair(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _refuse(where: str, module: nn.Module, why: str) -> None:
    raise ModelError(f"{where} ({type(module).__name__}) cannot be converted: {why}.")


def _random_images(model: nn.Module) -> torch.Tensor:
    """Return two images (2, C, 64, 96) for the first convolution of the model."""
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d | GMRConv2d)), None)
    if first is None:
        raise ModelError(f"{type(model[0]).__name__} has no 2-D convolution, so there is nothing to convert.")
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, first.in_channels, *EXTENT_PX, generator=generator)
    return images.to(first.weight.device, first.weight.dtype)


def _sides(model: nn.Module, kernel_sizes: Sequence[int], example: torch.Tensor) -> dict[nn.Module, int]:
    """Return the kernel side of each convolution, by its resolution."""
    areas: dict[nn.Module, int] = {}

    def record(module: nn.Module, _: object, out: torch.Tensor) -> None:
        areas[module] = out.shape[-2] * out.shape[-1]

    convs = [module for module in model.modules() if type(module) in (nn.Conv2d, nn.ConvTranspose2d)]
    spatial = [module for module in convs if max(_pair(module.kernel_size)) > 1]
    hooks = [module.register_forward_hook(record) for module in spatial]
    try:
        with torch.inference_mode():
            model(example)
    except Exception as error:
        raise ModelError(
            f"The model does not run on {tuple(example.shape)}: {error}. Give an example that it takes."
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    ranks = {area: rank for rank, area in enumerate(sorted(set(areas.values()), reverse=True))}
    last = len(kernel_sizes) - 1
    return {module: kernel_sizes[min(ranks.get(areas.get(module, 0), last), last)] for module in spatial}


def _warn_of_seams(model: nn.Module) -> None:
    names = [name for name, module in model.named_modules() if isinstance(module, SEAMS)]
    if names:
        log.warning(
            "%s and %d more norms depend on the whole patch: the model commutes with the eight orientations, "
            "but its tiles will show seams. Use BatchNorm to tile it.",
            names[0],
            len(names) - 1,
        )
