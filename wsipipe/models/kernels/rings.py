"""Numbers of one ring convolution, and its two plain implementations.

Dense and two-step.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

CONVOLVE = {2: functional.conv2d, 3: functional.conv3d}


@dataclass(frozen=True, kw_only=True, eq=False)
class Rings:
    """Numbers that define a ring convolution.

    Attributes:
        weight: (out, in / groups, n), one factor per ring.
        basis: (n, m), value of each ring at each distinct radius.
        cells: (k ** dims,) radius of each cell of the kernel; m marks a masked cell.
        hard: (m,) hard ring of each radius where the basis is constant within one, else None.
        bias: (out,) or None.
        kernel_size: Side k, px.
        padding: Zeros on each side, px.
        dilation: Distance of neighbouring taps, px.
        groups: Separate channel groups.
        dims: 2 or 3.
    """

    weight: torch.Tensor
    basis: torch.Tensor
    cells: torch.Tensor
    hard: torch.Tensor | None
    bias: torch.Tensor | None
    kernel_size: int
    padding: int
    dilation: int
    groups: int
    dims: int

    def kernel(self) -> torch.Tensor:
        """Return the dense kernel (out, in / groups, k, k[, k]).

        It is bitwise the same in every orientation.
        """
        return self.spread(self.weight.to(self.basis.dtype) @ self.basis)

    def spread(self, profile: torch.Tensor) -> torch.Tensor:
        """Spread values (..., m) at the distinct radii to (..., k, k[, k])."""
        taps = _Spread.apply(functional.pad(profile, (0, 1)), self.cells)
        return taps.unflatten(-1, (self.kernel_size,) * self.dims)


def radius_table(kernel_size: int, dims: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the distinct radii, and the radius of each cell.

    Radii are (m,) float64, cells (k ** dims,) int64; m marks a masked cell. The table is built from the
    integers u^2 + v^2, so cells of one orbit share one entry and no rounding separates them.
    """
    offsets = torch.arange(kernel_size) - kernel_size // 2
    axes = torch.meshgrid(*[offsets] * dims, indexing="ij")
    squared = torch.stack(axes).square().sum(0).flatten()
    inside = 4 * squared < kernel_size**2
    distinct = torch.unique(squared[inside])
    index = torch.searchsorted(distinct, squared)
    return distinct.double().sqrt(), torch.where(inside, index, len(distinct))


def dense(x: torch.Tensor, rings: Rings) -> torch.Tensor:
    """Convolve features (B, in, ...) to (B, out, ...) by the dense kernel.

    It takes k ** 2 taps where n would be enough.
    """
    bias = None if rings.bias is None else rings.bias.to(x.dtype)
    kernel = rings.kernel().to(x.dtype)
    return CONVOLVE[rings.dims](x, kernel, bias, 1, rings.padding, rings.dilation, rings.groups)


def two_step(x: torch.Tensor, rings: Rings) -> torch.Tensor:
    """Convolve features (B, in, ...) to (B, out, ...) in two steps.

    They are n depthwise ring filters, then 1x1, as in the paper.
    """
    convolve, channels = CONVOLVE[rings.dims], x.shape[1]
    ones = (1,) * rings.dims
    filters = rings.spread(rings.basis).to(x.dtype)[:, None].repeat(channels, *(1,) * (rings.dims + 1))
    sums = convolve(x, filters, None, 1, rings.padding, rings.dilation, channels)
    mixer = rings.weight.to(x.dtype).reshape(len(rings.weight), -1, *ones)
    bias = None if rings.bias is None else rings.bias.to(x.dtype)
    return convolve(sums, mixer, bias, groups=rings.groups)


class _Spread(torch.autograd.Function):
    """Copy each radius's value to its cells.

    The gradient is one matrix product, as a scatter is slow.
    """

    @staticmethod
    def forward(ctx: Any, profile: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cells)
        ctx.radii = profile.shape[-1]
        return profile.index_select(-1, cells)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (cells,) = ctx.saved_tensors
        onto = functional.one_hot(cells, ctx.radii).to(grad.dtype)
        return grad @ onto, None
