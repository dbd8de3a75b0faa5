"""Fused ring convolution: ring sums in cache, then a matrix product.

The ring sums never leave the cache (or shared memory). Rings are disjoint masks, so a pixel's ring sums are
additions only, and the Gaussian mix is either folded into the weights (index mode) or done per channel
(radial mode). Every sum has one order in all eight orientations: rotated input gives bitwise rotated output.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from wsipipe.models.kernels.build import Job, gpu_library, library
from wsipipe.models.kernels.layer_input import AS_IS, LayerInput, as_layer_input, joined, joined_shape
from wsipipe.models.kernels.packing import Packed, cpu_layout, pack
from wsipipe.models.kernels.rings import Rings

SIDES = {"cpu": (1, 3, 5, 7, 9, 11), "cuda": (3, 5, 7, 9)}
DTYPES = (torch.float32, torch.bfloat16)


def supports(rings: Rings, device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether a compiled kernel covers this layer on the device."""
    covered = rings.dims == 2 and rings.groups == 1 and rings.dilation == 1 and dtype in DTYPES
    if not covered or rings.kernel_size not in SIDES.get(device.type, ()):
        return False
    if device.type == "cpu":
        return library() is not None
    usual = len(rings.basis) == rings.kernel_size // 2 + 1
    return usual and gpu_library(torch.cuda.get_device_capability(device)) is not None


def cpu_kind() -> str:
    """Return the instruction sets that the CPU kernel uses.

    ``cpu avx512_bf16``, ``cpu avx512``, ``cpu avx2`` or ``cpu``.
    """
    kernel = library()
    lanes = 0 if kernel is None else kernel.ring_lanes()
    width = {16: " avx512", 8: " avx2"}.get(lanes, "")
    return f"cpu{width}{'_bf16' if kernel is not None and kernel.ring_bf16_products() else ''}"


def run(
    x: torch.Tensor | LayerInput,
    packed: Packed,
    *more: LayerInput,
    residual: torch.Tensor | None = None,
    relu: bool = False,
) -> torch.Tensor:
    """Run the kernel: features (B, in, H, W) -> (B, out, H', W').

    The output is channels-last.

    Args:
        x: Features, or features to resample while they are read; on a GPU as they are.
        packed: Weights.
        more: Second input, or none, whose channels follow; see :func:`joins`. CPU only.
        residual: (B, out, H', W'), added to the result. CPU only.
        relu: Whether negative results become 0, after the residual. CPU only.
    """
    sources = [as_layer_input(x), *more]
    batch, channels, height, width = joined_shape(sources)
    if channels != packed.channels:
        raise ValueError(f"The layer has {packed.channels} input channels, but the features {channels}.")
    shrink = 2 * packed.padding - packed.kernel_size + 1
    if min(height, width) + shrink < 1:
        raise ValueError(f"{height} x {width} px are too few for a kernel of {packed.kernel_size} px.")
    out = torch.empty(
        (batch, packed.outputs, height + shrink, width + shrink),
        dtype=packed.dtype,
        device=sources[0].features.device,
        memory_format=torch.channels_last,
    )
    around = bool(more) or residual is not None or relu or sources[0].scale != AS_IS
    if around and not joins(sources):
        raise ValueError(
            "Only the CPU kernel resamples, joins and activates in one pass, by whole blocks of channels."
        )
    if residual is not None and residual.shape != out.shape:
        raise ValueError(f"The residual is {tuple(residual.shape)}, the result {tuple(out.shape)}.")
    sources = [LayerInput(_ready(source.features, packed), source.scale) for source in sources]
    added = None if residual is None else _ready(residual, packed)
    job, name = job_of(sources, out, packed, added, relu), "f32" if packed.dtype == torch.float32 else "bf16"
    if out.device.type == "cpu":
        getattr(library(), f"ring_conv_{name}")(ctypes.byref(job))
        return out
    kernel = getattr(gpu_library(torch.cuda.get_device_capability(out.device)), f"ring_conv_cuda_{name}")
    with torch.cuda.device(out.device):
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        code = kernel(ctypes.byref(job), stream, packed.lanes)
    if code:
        raise RuntimeError(f"The GPU ring kernel failed with CUDA error {code}. Use impl='dense'.")
    return out


def joins(sources: Sequence[LayerInput]) -> bool:
    """Return whether the kernel can read these inputs in one call.

    It can on a CPU, if no block of channels spans two of them.
    """
    if any(source.features.device.type != "cpu" for source in sources) or len(sources) > 2:
        return False
    block = cpu_layout(joined_shape(sources)[1], sources[0].features.dtype).block
    return len(sources) == 1 or sources[0].features.shape[1] % block == 0


def _ready(x: torch.Tensor, packed: Packed) -> torch.Tensor:
    return x.to(packed.dtype).contiguous(memory_format=torch.channels_last)


def resampled(source: LayerInput) -> torch.Tensor:
    """Return the features as a layer reads them, (B, C, H, W).

    The result is bitwise equal in all orientations. The kernel resamples channels-last features on a CPU,
    torch all others and whenever it is traced.
    """
    x = source.features
    covered = x.device.type == "cpu" and x.dtype in DTYPES and source.scale != AS_IS
    covered = covered and x.is_contiguous(memory_format=torch.channels_last)
    traced = torch.jit.is_tracing() or torch.compiler.is_compiling()
    kernel = library() if covered and not traced else None
    if kernel is None:
        return joined([source])
    out = torch.empty(joined_shape([source]), dtype=x.dtype, memory_format=torch.channels_last)
    name = "f32" if x.dtype == torch.float32 else "bf16"
    batch, channels, height, width = out.shape
    job = Job(input=x.data_ptr(), output=out.data_ptr(), threads=torch.get_num_threads(), scale=source.scale)
    job.batch, job.channels, job.height, job.width = batch, channels, height, width
    getattr(kernel, f"ring_resample_{name}")(ctypes.byref(job))
    return out


def job_of(
    sources: Sequence[LayerInput],
    out: torch.Tensor,
    packed: Packed,
    residual: torch.Tensor | None = None,
    relu: bool = False,
) -> Job:
    """Return the kernel's arguments; the tensors must outlive the call."""
    batch, channels, height, width = joined_shape(sources)
    first, second = sources[0], sources[1] if len(sources) > 1 else None
    return Job(
        first.features.data_ptr(),
        out.data_ptr(),
        packed.weight.data_ptr(),
        packed.bias.data_ptr(),
        None if packed.mix is None else packed.mix.data_ptr(),
        packed.ring_of.data_ptr(),
        batch,
        height,
        width,
        channels,
        packed.outputs,
        packed.kernel_size,
        packed.padding,
        packed.rings,
        torch.get_num_threads(),
        None if second is None else second.features.data_ptr(),
        None if residual is None else residual.data_ptr(),
        first.features.shape[1],
        first.scale,
        0 if second is None else second.scale,
        relu,
    )


def fused(x: torch.Tensor, rings: Rings) -> torch.Tensor:
    """Convolve features by the compiled kernel, differentiably.

    (B, in, H, W) -> (B, out, H', W').
    """
    return _Fused.apply(x, rings.weight, rings.basis, rings.bias, rings)


class _Fused(torch.autograd.Function):
    """Autograd function of the compiled kernel.

    The input's gradient is computed by the same kernel, since it is a ring convolution too (a symmetric
    kernel is its own mirror image); that of the weights from the ring sums. On a GPU the latter goes through
    the dense kernel's gradient, k ** 2 / n times the arithmetic.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        basis: torch.Tensor,
        bias: torch.Tensor | None,
        rings: Rings,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight, basis)
        ctx.rings = rings
        return run(x, pack(rings, x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, basis = ctx.saved_tensors
        rings: Rings = ctx.rings
        grad_x = _grad_input(grad, rings) if ctx.needs_input_grad[0] else None
        grad_weight = grad_basis = grad_bias = None
        if ctx.needs_input_grad[2]:
            profile = _grad_profile(x, grad, rings).to(basis.dtype)
            grad_weight = (profile @ basis.T).to(weight.dtype)
            grad_basis = torch.einsum("oci,ocm->im", weight.to(basis.dtype), profile)
        elif ctx.needs_input_grad[1]:
            grad_weight = _grad_weight(x, grad, rings).to(weight.dtype)
        if rings.bias is not None and ctx.needs_input_grad[3]:
            grad_bias = grad.sum((0, 2, 3), dtype=torch.float32).to(rings.bias.dtype)
        return grad_x, grad_weight, grad_basis, grad_bias, None


def _grad_input(grad: torch.Tensor, rings: Rings) -> torch.Tensor:
    back = Rings(
        **{
            **vars(rings),
            "weight": rings.weight.transpose(0, 1),
            "bias": None,
            "padding": rings.kernel_size - 1 - rings.padding,
        }
    )
    return run(grad, pack(back, grad.dtype))


def _grad_profile(x: torch.Tensor, grad: torch.Tensor, rings: Rings) -> torch.Tensor:
    """Gradient (out, in, radii) of the kernel's value at each distinct radius."""
    if x.device.type == "cpu":
        return _cpu_grad(x, grad, rings, None)
    sizes = (len(rings.weight), x.shape[1], rings.kernel_size, rings.kernel_size)
    taps = torch.nn.grad.conv2d_weight(x, sizes, grad, padding=rings.padding).flatten(2)
    onto = functional.one_hot(rings.cells, rings.basis.shape[1] + 1)[:, :-1].to(taps.dtype)
    return taps @ onto


def _grad_weight(x: torch.Tensor, grad: torch.Tensor, rings: Rings) -> torch.Tensor:
    """Return the gradient (out, in, n) of the weights.

    Where widths are fixed, n products per channel are enough instead of one per radius.
    """
    mix = pack(rings, x.dtype).mix if x.device.type == "cpu" else None
    if mix is not None:
        return _cpu_grad(x, grad, rings, mix)
    return _grad_profile(x, grad, rings) @ rings.basis.detach().float().T


def _cpu_grad(x: torch.Tensor, grad: torch.Tensor, rings: Rings, mix: torch.Tensor | None) -> torch.Tensor:
    """Return the gradient (out, in, rings of ``mix``), float32.

    Without ``mix`` it is (out, in, radii).
    """
    radii, outputs = rings.basis.shape[1], grad.shape[1]
    count = radii if mix is None else len(mix)
    layout = cpu_layout(x.shape[1], x.dtype)
    blocks, padded = -(-x.shape[1] // layout.block), -(-outputs // layout.lanes) * layout.lanes
    sums = torch.zeros((torch.get_num_threads(), blocks, count, layout.block, padded))
    place = Packed(
        weight=sums,
        bias=sums,
        mix=mix,
        ring_of=torch.arange(radii, dtype=torch.int32),
        outputs=outputs,
        channels=x.shape[1],
        rings=count,
        kernel_size=rings.kernel_size,
        padding=rings.padding,
        dtype=x.dtype,
        lanes=layout.lanes,
    )
    x, grad = (t.to(x.dtype).contiguous(memory_format=torch.channels_last) for t in (x, grad))
    name = "f32" if x.dtype == torch.float32 else "bf16"
    getattr(library(), f"ring_grad_{name}")(ctypes.byref(job_of([LayerInput(x)], grad, place)))
    return sums.sum(0).permute(3, 0, 2, 1).flatten(1, 2)[:outputs, : x.shape[1]]
