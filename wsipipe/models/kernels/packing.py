"""Weights of a layer, packed in the order the compiled kernels read."""

import ctypes
from dataclasses import dataclass

import torch
from torch.nn import functional

from wsipipe.models.kernels.build import library
from wsipipe.models.kernels.rings import Rings

BLOCK = 16
PANELS = {torch.float32: (16, 32, 64), torch.bfloat16: (16, 32, 64, 128)}


@dataclass(frozen=True, kw_only=True)
class WeightLayout:
    """Order of the weights that a kernel expects.

    Attributes:
        lanes: Outputs of one panel.
        block: Channels of one block.
        pairs: Whether channels come in pairs, as bfloat16 dot products take them.
        dtype: Data type of the products.
        mixed: Whether the kernel always mixes; else rings may be plain sums of radii.
    """

    lanes: int
    block: int
    pairs: bool
    dtype: torch.dtype
    mixed: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """Packed weights and their sizes.

    Attributes:
        weight: (out / lanes, blocks, rings, channels per block, lanes), rounded up with zeros.
        bias: (out rounded up,) float32.
        mix: (rings, radii) float32, or None where rings are sums of radii.
        ring_of: (radii,) int32, the ring of each radius.
        outputs: Channels out.
        channels: Channels in.
        rings: Number of rings.
        kernel_size: Side, px.
        padding: Zeros on each side, px.
        dtype: Data type of input and output.
        lanes: Outputs of one panel.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    mix: torch.Tensor | None
    ring_of: torch.Tensor
    outputs: int
    channels: int
    rings: int
    kernel_size: int
    padding: int
    dtype: torch.dtype
    lanes: int


def cpu_layout(channels: int, dtype: torch.dtype) -> WeightLayout:
    """Return the layout for the CPU kernel of this machine."""
    kernel = library()
    if kernel is None:
        raise RuntimeError("The compiled ring kernel is not available. Use impl='dense'.")
    half = dtype == torch.bfloat16 and bool(kernel.ring_bf16_products())
    return WeightLayout(
        lanes=kernel.ring_lanes(),
        block=kernel.ring_block_channels(ctypes.c_int64(channels)),
        pairs=half,
        dtype=torch.bfloat16 if half else torch.float32,
        mixed=False,
    )


def gpu_layout(outputs: int, dtype: torch.dtype) -> WeightLayout:
    """Return the layout for the GPU kernel.

    It is the narrowest panel that holds all outputs, or the widest.
    """
    lanes = next((panel for panel in PANELS[dtype] if panel >= outputs), PANELS[dtype][-1])
    return WeightLayout(lanes=lanes, block=BLOCK, pairs=False, dtype=dtype, mixed=True)


def pack(rings: Rings, dtype: torch.dtype, layout: WeightLayout | None = None) -> Packed:
    """Pack the weights of ``rings`` for inputs of ``dtype``.

    The default layout is that of the device that they are on.
    """
    outputs, channels = rings.weight.shape[:2]
    if layout is None:
        gpu = rings.weight.device.type == "cuda"
        layout = gpu_layout(outputs, dtype) if gpu else cpu_layout(channels, dtype)
    weight, mix, ring_of = _factors(rings, layout.mixed)
    count = weight.shape[2]
    lanes, block = layout.lanes, layout.block
    blocks, panels = -(-channels // block), -(-outputs // lanes)
    padded = functional.pad(weight, (0, 0, 0, blocks * block - channels, 0, panels * lanes - outputs))
    split = padded.reshape(panels, lanes, blocks, block, count).permute(0, 2, 4, 3, 1).to(dtype)
    if layout.pairs:
        split = split.unflatten(3, (block // 2, 2)).transpose(4, 5)
    bias = weight.new_zeros(outputs) if rings.bias is None else rings.bias.detach().float()
    return Packed(
        weight=split.to(layout.dtype).contiguous(),
        bias=functional.pad(bias, (0, panels * lanes - outputs)).contiguous(),
        mix=mix,
        ring_of=ring_of,
        outputs=outputs,
        channels=channels,
        rings=count,
        kernel_size=rings.kernel_size,
        padding=rings.padding,
        dtype=dtype,
        lanes=lanes,
    )


def _factors(rings: Rings, mixed: bool) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Return weights, mix and the ring of each radius.

    Weights are (out, in, rings), the mix (rings, radii) or None, the rings (radii,).
    """
    # Products in float64, rounded once: a product of matrices in float32 depends on the processor.
    weight, basis = rings.weight.detach().double(), rings.basis.detach().double()
    count, radii = basis.shape
    each = torch.arange(radii, dtype=torch.int32)
    if rings.hard is not None:
        _, ring_of = torch.unique_consecutive(rings.hard.cpu(), return_inverse=True)
        first = torch.searchsorted(ring_of, torch.arange(int(ring_of[-1]) + 1))
        sums = functional.one_hot(ring_of).T.float().contiguous().to(weight.device) if mixed else None
        return (weight @ basis[:, first.to(basis.device)]).float(), sums, ring_of.int()
    if mixed or (count in {rings.kernel_size // 2 + 1, rings.kernel_size // 2 + 2} and count < radii):
        return weight.float(), basis.float().contiguous(), each
    return (weight @ basis).float(), None, each
