"""Ring convolution of parts of arrays, without copies of them.

A part is read where it lies in memory, and nothing is added around it. Only for the CPU kernel.
"""

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch

from wsipipe.models.kernels.build import Job, Window, library
from wsipipe.models.kernels.layer_input import AS_IS, POOLED, UPSAMPLED, Scale
from wsipipe.models.kernels.packing import Packed


class KernelPart(NamedTuple):
    """Features in memory, how they are read, and where reading begins.

    Attributes:
        features: (height, width, C), contiguous.
        top: First row read, in px of the finer grid: of the features, or of what they are up-sampled to.
        left: First column read, likewise.
        scale: ``AS_IS``, ``POOLED`` or ``UPSAMPLED``.
    """

    features: torch.Tensor
    top: int
    left: int
    scale: Scale = AS_IS

    def window(self, height: int, width: int) -> Window:
        """Return the part of ``height`` x ``width`` px that a layer reads.

        Raises:
            ValueError: The features do not hold all px that it needs.
        """
        shape = self.features.shape[:2]
        for first, count, extent in zip((self.top, self.left), (height, width), shape, strict=True):
            last = first + (2 * count if self.scale == POOLED else count) - 1
            if self.scale == UPSAMPLED:
                first, last = (first - 1) // 2, (last + 1) // 2
            if first < 0 or last >= extent:
                raise ValueError(f"A layer reads px {first} to {last} of features of {extent} px.")
        return Window(*shape, self.top, self.left)


class Needed(NamedTuple):
    """Pixels of a layer that later layers read, by cells.

    Attributes:
        cells: (rows, columns) uint8, 0 where no pixel is needed.
        cell_px: Side of a cell.
        top: Place of the first computed row in the cells, px.
        left: Place of the first computed column in the cells, px.
    """

    cells: torch.Tensor
    cell_px: int
    top: int
    left: int


def run_parts(
    parts: Sequence[KernelPart],
    packed: Packed,
    out: torch.Tensor,
    residual: KernelPart | None = None,
    relu: bool = False,
    needed: Needed | None = None,
) -> None:
    """Convolve one or two parts and write the result into ``out``.

    Args:
        parts: Features to read; the channels of a second follow those of the first.
        packed: Weights.
        out: Result (h, w, out), contiguous; the layer reads (h + side - 1, w + side - 1) px.
        residual: Added to the result.
        relu: Whether negative results become 0, after the residual.
        needed: Pixels to compute; others keep undefined values.

    Raises:
        ValueError: A part is too small, or has other channels or another type than the layer.
    """
    height, width = (extent + packed.kernel_size - 1 for extent in out.shape[:2])
    job = _job(parts, out, packed.channels, (height, width))
    _check(residual is None or residual.features.shape[2] == packed.outputs, "residual")
    _check(out.shape[2] == packed.outputs, "result")
    for tensor in (out, *(part.features for part in (*parts, *([residual] if residual else [])))):
        _check(tensor.dtype == packed.dtype and tensor.is_contiguous(), "memory")
    job.weight, job.bias = packed.weight.data_ptr(), packed.bias.data_ptr()
    job.mix = None if packed.mix is None else packed.mix.data_ptr()
    job.ring_of, job.outputs = packed.ring_of.data_ptr(), packed.outputs
    job.kernel, job.rings, job.relu = packed.kernel_size, packed.rings, relu
    if residual is not None:
        job.residual, job.residual_window = residual.features.data_ptr(), residual.window(*out.shape[:2])
    if needed is not None:
        job.needed, job.cell = needed.cells.data_ptr(), needed.cell_px
        job.mask = Window(*needed.cells.shape, needed.top, needed.left)
    getattr(library(), f"ring_conv_{_name(out)}")(ctypes.byref(job))


def resample_part(part: KernelPart, out: torch.Tensor) -> None:
    """Pool or up-sample a part into ``out`` (h, w, C), contiguous.

    Raises:
        ValueError: The part is too small, or has other channels than ``out``.
    """
    job = _job([part], out, out.shape[2], (out.shape[0], out.shape[1]))
    getattr(library(), f"ring_resample_{_name(out)}")(ctypes.byref(job))


def _job(parts: Sequence[KernelPart], out: torch.Tensor, channels: int, size: tuple[int, int]) -> Job:
    first, second = parts[0], parts[1] if len(parts) > 1 else None
    _check(sum(part.features.shape[2] for part in parts) == channels and len(parts) <= 2, "input")
    job = Job(input=first.features.data_ptr(), output=out.data_ptr(), batch=1, channels=channels)
    job.height, job.width = size
    job.threads = torch.get_num_threads()
    job.split, job.scale, job.window = first.features.shape[2], first.scale, first.window(*size)
    if second is not None:
        job.second, job.second_scale = second.features.data_ptr(), second.scale
        job.second_window = second.window(*size)
    return job


def _check(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"The {what} of a layer does not fit its weights: shape, type or order in memory.")


def _name(out: torch.Tensor) -> str:
    return "f32" if out.dtype == torch.float32 else "bf16"
