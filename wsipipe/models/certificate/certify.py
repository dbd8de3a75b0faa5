"""``certify``: does a network keep its answer when the image is turned, and when it is cut into patches?

Works on any torch model (B, 3, H, W) -> map or vector. Everything is measured on made pictures on the CPU.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.certificate.layers import gflop_per_mpx, layer_errors
from wsipipe.models.certificate.measurements import (
    angle_errors,
    noise,
    size_errors,
    sizes_to_try,
    tiling_error,
    up_to_multiple,
)
from wsipipe.models.certificate.receptive_field import measure_receptive_field
from wsipipe.models.certificate.record import (
    BUDGETS,
    Certificate,
    Dtype,
    LayerError,
    ReceptiveField,
    RingKernelErrors,
    SizeErrors,
    Tiling,
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
    """Certificate of a network; it passes if nothing exceeds the budget of ``dtype``.

    Args:
        model: A shipped model's name, a ``.safetensors`` file, ``package.module:factory`` (which is imported,
            so its code runs), or a torch module, of which a copy is measured.
        dtype: In what it computes; the budget is 1e-5 in float32, 1e-12 in float64, 0.05 in bfloat16.
        tiled: Also compare patches with the whole.
        lattice_px: Extents it is made for are multiples of this; for a module that does not say it.
        degrees: Angles at which error and drop are measured; they decide nothing.

    Raises:
        ModelError: There is no such model, it takes no size tried, or it answers NaN.
    """
    if dtype not in BUDGETS:
        raise ModelError(f"dtype {dtype!r} is unknown; use {', '.join(BUDGETS)}.")
    torch_dtype, budget = getattr(torch, dtype), BUDGETS[dtype]
    subject = load_network_under_test(model, torch_dtype, lattice_px)
    sizes = [size_errors(subject, *size, torch_dtype) for size in sizes_to_try(subject.lattice_px)]
    taken = next((size for size in sizes if size.on_lattice and size.refused is None), None)
    if taken is None:
        raise ModelError(
            f"{subject.name} takes none of the sizes tried on a lattice of {subject.lattice_px} px; it says "
            f"of {sizes[0].height_px} x {sizes[0].width_px} px: {sizes[0].refused} Give the right lattice."
        )
    answer = _kind(subject, taken, torch_dtype)
    layers = layer_errors(subject, taken.height_px, taken.width_px, torch_dtype)
    broken = next((layer for layer in layers if not layer.error <= budget), None)
    reach = measure_receptive_field(subject) if answer == "map" else None
    halo = _halo(reach, subject.lattice_px)
    tiling = tiling_error(subject, halo, torch_dtype) if tiled and halo is not None else None
    rings = measure_rings(subject, sizes, halo if tiled else None, torch_dtype)
    reasons = [
        *orientation_reasons(sizes, broken, budget),
        *receptive_field_reasons(reach),
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
        reach=reach,
        tiling=tiling,
        rings=rings,
        reasons=reasons,
        passed=not reasons,
    )


def _kind(subject: NetworkUnderTest, taken: SizeErrors, dtype: torch.dtype) -> Literal["map", "vector"]:
    answer = subject.answer(noise(subject, taken.height_px, taken.width_px, dtype))
    return "map" if answer.ndim == 4 else "vector"


def _halo(reach: ReceptiveField | None, lattice_px: int) -> int | None:
    """What the network says, else what was measured, in whole cells; None if it cannot be tiled."""
    if reach is None or reach.formula_px is not None:
        return None if reach is None else reach.formula_px
    return None if reach.gradient_px is None else up_to_multiple(reach.gradient_px, lattice_px)


def measure_rings(
    subject: NetworkUnderTest, sizes: Sequence[SizeErrors], halo_px: int | None, dtype: torch.dtype
) -> RingKernelErrors | None:
    """The same by ring kernels, at the sizes on the lattice; None if the weights are not run so."""
    if subject.by_rings is None:
        return None
    shipped = replace(subject, scores=subject.by_rings)
    return RingKernelErrors(
        sizes=[size_errors(shipped, one.height_px, one.width_px, dtype) for one in sizes if one.on_lattice],
        tiling=None if halo_px is None else tiling_error(shipped, halo_px, dtype),
    )


def orientation_reasons(sizes: Sequence[SizeErrors], broken: LayerError | None, budget: float) -> list[str]:
    """One text for sizes on the lattice, one for sizes off it that should have been refused."""
    reasons = []
    on, off = ([size for size in sizes if size.on_lattice is side] for side in (True, False))
    worst = max(on, key=lambda size: size.worst)
    if not worst.worst <= budget:
        layer = "none, it breaks between layers" if broken is None else f"{broken.name} ({broken.kind})"
        reasons.append(
            f"Turned {_worst(worst, budget)} First layer that breaks, or has just before it: {layer}."
        )
    worst = max(off, key=lambda size: size.worst, default=on[0])
    if not worst.on_lattice and not worst.worst <= budget:
        reasons.append(
            f"It takes sizes off its lattice and breaks there; turned {_worst(worst, budget)} Refuse them."
        )
    return reasons


def _worst(size: SizeErrors, budget: float) -> str:
    name = max(size.errors, key=lambda orientation: size.errors[orientation])
    where = f"{name} at {size.height_px} x {size.width_px} px"
    return f"{where}, the answer differs by {size.errors[name]:.2g} (budget {budget:g})."


def receptive_field_reasons(reach: ReceptiveField | None) -> list[str]:
    """A text if an answer looks farther than a halo can be, or than the network says."""
    if reach is None:
        return []
    if reach.gradient_px is None:
        return [
            f"An answer depends on px at the end of a {reach.image_px} px image, so it cannot be tiled: does "
            "a norm or an attention look at the whole image?"
        ]
    if reach.formula_px is not None and reach.gradient_px > reach.formula_px:
        return [f"It says a halo of {reach.formula_px} px is enough, but looks {reach.gradient_px} px far."]
    return []


def tiling_reasons(tiling: Tiling | None, budget: float) -> list[str]:
    """A text if patches show seams."""
    if tiling is None or tiling.error <= budget:
        return []
    halo = f"a halo of {tiling.halo_px} px"
    return [f"Patches with {halo} differ from the whole by {tiling.error:.2g} (budget {budget:g})."]


def ring_reasons(rings: RingKernelErrors | None) -> list[str]:
    """A text if a probability changes by as much as its last bit."""
    if rings is None or rings.worst == 0:
        return []
    return [
        f"By ring kernels probabilities differ by {rings.worst:.2g}, turned or tiled; not a bit may differ."
    ]
