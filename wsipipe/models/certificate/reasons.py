"""Reasons for which a network fails its certificate, as text."""

from collections.abc import Sequence

from wsipipe.models.certificate.record import LayerError, ReceptiveField, RingKernelErrors, SizeErrors, Tiling


def orientation_reasons(sizes: Sequence[SizeErrors], broken: LayerError | None, budget: float) -> list[str]:
    """List failures under the eight orientations.

    One text for sizes on the lattice, one for sizes off it that should have been refused.
    """
    reasons = []
    on, off = ([size for size in sizes if size.on_lattice is side] for side in (True, False))
    worst = max(on, key=lambda size: size.worst)
    if not worst.worst <= budget:
        layer = "none, it breaks between layers" if broken is None else f"{broken.name} ({broken.kind})"
        reasons.append(
            f"The network is not equivariant. {_worst(worst, budget)} First layer that breaks, or that "
            f"follows what breaks: {layer}."
        )
    worst = max(off, key=lambda size: size.worst, default=on[0])
    if not worst.on_lattice and not worst.worst <= budget:
        reasons.append(
            "The network takes sizes off its lattice and is not equivariant there. "
            f"{_worst(worst, budget)} Refuse these sizes."
        )
    return reasons


def _worst(size: SizeErrors, budget: float) -> str:
    name = max(size.errors, key=lambda orientation: size.errors[orientation])
    where = f"orientation {name} at {size.height_px} x {size.width_px} px"
    return f"In {where} the output differs by {size.errors[name]:.2g} (budget {budget:g})."


def receptive_field_reasons(field: ReceptiveField | None) -> list[str]:
    """List failures of the receptive field.

    It must be finite and no larger than the declared halo.
    """
    if field is None:
        return []
    if field.gradient_px is None:
        return [
            f"The network cannot be tiled: an output depends on px at the end of a {field.image_px} px "
            "image. Check for a norm or an attention over the whole image."
        ]
    if field.formula_px is not None and field.gradient_px > field.formula_px:
        return [
            f"The network declares a halo of {field.formula_px} px, but its receptive field extends "
            f"{field.gradient_px} px."
        ]
    return []


def tiling_reasons(tiling: Tiling | None, budget: float) -> list[str]:
    """List failures of tiling, where patches show seams."""
    if tiling is None or tiling.error <= budget:
        return []
    halo = f"a halo of {tiling.halo_px} px"
    return [f"Patches with {halo} differ from the whole image by {tiling.error:.2g} (budget {budget:g})."]


def ring_reasons(rings: RingKernelErrors | None) -> list[str]:
    """List failures of the ring kernels, whose results must be identical."""
    if rings is None or rings.worst == 0:
        return []
    return [
        f"With the ring kernels, probabilities differ by {rings.worst:.2g} when rotated or tiled; they must "
        "be bitwise identical."
    ]
