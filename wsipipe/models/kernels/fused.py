"""Fused ring convolution: ring sums in cache, then a matrix product.

The ring sums never leave the cache (or shared memory). Rings are disjoint masks, so a pixel's ring sums are
additions only, and the Gaussian mix is either folded into the weights (index mode) or done per channel
(radial mode). Every sum has one order in all eight orientations: rotated input gives bitwise rotated output.
"""

import ctypes
from collections.abc import Sequence

import torch

from wsipipe.models.kernels.build import Job, gpu_library, library
from wsipipe.models.kernels.layer_input import AS_IS, LayerInput, as_layer_input, joined, joined_shape
from wsipipe.models.kernels.packing import Packed, cpu_layout
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
