"""Certify that a network is equivariant and can be tiled.

Works on any torch model (B, 3, H, W) -> map or vector. Everything is measured on synthetic images on the CPU.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.certificate.foreign import certify_onnx, check_onnx_options, is_onnx
from wsipipe.models.certificate.layers import gflop_per_mpx, layer_errors
from wsipipe.models.certificate.measurements import (
    angle_errors,
    noise,
    size_errors,
    sizes_to_try,
    tiling_error,
    up_to_multiple,
)
from wsipipe.models.certificate.reasons import (
    orientation_reasons,
    receptive_field_reasons,
    ring_reasons,
    tiling_reasons,
)
from wsipipe.models.certificate.receptive_field import measure_receptive_field
from wsipipe.models.certificate.record import (
    BUDGETS,
    Certificate,
    Dtype,
    ReceptiveField,
    RingKernelErrors,
    SizeErrors,
)
from wsipipe.models.certificate.subject import NetworkUnderTest, load_network_under_test

DEGREES = tuple(range(0, 360, 10))


def certify(
    model: str | Path | nn.Module,
    *,
    dtype: Dtype = "float32",
    tiled: bool = False,
    lattice_px: int | None = None,
    degrees: Sequence[float] = DEGREES,
) -> Certificate:
    """Return the certificate of a network.

    It passes if nothing exceeds the budget of ``dtype``.

    Args:
        model: Name of a shipped model, a ``.safetensors`` or ``.onnx`` file, ``package.module:factory``
            (which is imported, so its code runs), or a torch module, of which a copy is measured.
        dtype: Numerical precision; the budget is 1e-5 in float32, 1e-12 in float64, 0.05 in bfloat16.
        tiled: Also compare patches with the whole image.
        lattice_px: Divisor of the extents that the network takes; for a module that does not state it.
        degrees: Angles at which error and drop are measured; they do not affect the verdict.

    Raises:
        ModelError: There is no such model, it takes none of the sizes tried, or its output is NaN.
    """
    if dtype not in BUDGETS:
        raise ModelError(f"dtype {dtype!r} is unknown; use {', '.join(BUDGETS)}.")
    if is_onnx(model):
        check_onnx_options(model, dtype, lattice_px)
        return certify_onnx(model, tiled, degrees)
    torch_dtype, budget = getattr(torch, dtype), BUDGETS[dtype]
    subject = load_network_under_test(model, torch_dtype, lattice_px)
    sizes = [size_errors(subject, *size, torch_dtype) for size in sizes_to_try(subject.lattice_px)]
    accepted = next((size for size in sizes if size.on_lattice and size.refused is None), None)
    if accepted is None:
        raise ModelError(
            f"{subject.name} takes none of the sizes tried on a lattice of {subject.lattice_px} px. Its "
            f"error at {sizes[0].height_px} x {sizes[0].width_px} px: {sizes[0].refused} Give the right "
            "lattice."
        )
    answer = _kind(subject, accepted, torch_dtype)
    layers = layer_errors(subject, accepted.height_px, accepted.width_px, torch_dtype)
    broken = next((layer for layer in layers if not layer.error <= budget), None)
    field = measure_receptive_field(subject) if answer == "map" else None
    halo = _halo(field, subject.lattice_px)
    tiling = tiling_error(subject, halo, torch_dtype) if tiled and halo is not None else None
    rings = measure_rings(subject, sizes, halo if tiled else None, torch_dtype)
    reasons = [
        *orientation_reasons(sizes, broken, budget),
        *receptive_field_reasons(field),
        *tiling_reasons(tiling, budget),
        *ring_reasons(rings),
    ]
    return Certificate(
        subject=subject.name,
        weights_sha256=subject.sha256,
        path="module" if subject.sha256 is None else "folded",
        dtype=dtype,
        budget=budget,
        answer=answer,
        parameters=subject.parameters,
        gflop_per_mpx=round(gflop_per_mpx(subject, torch_dtype), 3),
        lattice_px=subject.lattice_px,
        sizes=sizes,
        layers=layers,
        first_broken_layer=broken,
        angles=angle_errors(subject, degrees, torch_dtype),
        reach=field,
        tiling=tiling,
        rings=rings,
        reasons=reasons,
        passed=not reasons,
    )


def _kind(subject: NetworkUnderTest, size: SizeErrors, dtype: torch.dtype) -> Literal["map", "vector"]:
    output = subject.output(noise(subject, size.height_px, size.width_px, dtype))
    return "map" if output.ndim == 4 else "vector"


def _halo(field: ReceptiveField | None, lattice_px: int) -> int | None:
    """Return the declared halo, else the measured one in whole cells.

    None if the network cannot be tiled.
    """
    if field is None or field.formula_px is not None:
        return None if field is None else field.formula_px
    return None if field.gradient_px is None else up_to_multiple(field.gradient_px, lattice_px)


def measure_rings(
    subject: NetworkUnderTest, sizes: Sequence[SizeErrors], halo_px: int | None, dtype: torch.dtype
) -> RingKernelErrors | None:
    """Measure the errors with the ring kernels, at the sizes on the lattice.

    None if the network does not run with the ring kernels.
    """
    if subject.by_rings is None:
        return None
    shipped = replace(subject, scores=subject.by_rings)
    return RingKernelErrors(
        sizes=[size_errors(shipped, one.height_px, one.width_px, dtype) for one in sizes if one.on_lattice],
        tiling=None if halo_px is None else tiling_error(shipped, halo_px, dtype),
    )
