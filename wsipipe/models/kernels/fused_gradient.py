"""The fused ring convolution with its gradients."""

import ctypes
from typing import Any

import torch
from torch.nn import functional

from wsipipe.models.kernels.build import library
from wsipipe.models.kernels.fused import job_of, run
from wsipipe.models.kernels.layer_input import LayerInput
from wsipipe.models.kernels.packing import Packed, cpu_layout, pack
from wsipipe.models.kernels.rings import Rings


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
