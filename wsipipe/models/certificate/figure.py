"""Draw a certificate: orientations, layers, angles, receptive field, verdict."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wsipipe.models.certificate.record import Certificate

LOWEST = 1e-17
GOOD, BAD, INK = "#1b7f4d", "#b3261e", "#3b5b92"


def draw_certificate(certificate: Certificate, path: Path) -> None:
    """Draw a certificate as a PNG.

    Nothing is measured again.
    """
    figure = Figure(figsize=(12, 7.4), dpi=90, layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(0.75, 2, 2))
    _draw_summary(figure.add_subplot(grid[0, :]), certificate)
    _draw_orientations(figure.add_subplot(grid[1, 0]), certificate)
    _draw_layers(figure.add_subplot(grid[1, 1]), certificate)
    _draw_angles(figure.add_subplot(grid[2, 0]), certificate)
    _draw_receptive_field(figure.add_subplot(grid[2, 1]), certificate)
    figure.savefig(path, metadata={"Software": None})


def summary(certificate: Certificate) -> list[str]:
    """Return the certificate as lines of text.

    The lines are the network, the results, and each reason for a failure.
    """
    field, tiling = certificate.reach, certificate.tiling
    errors = [angle.error for angle in certificate.angles]
    drops = [angle.agreement_drop for angle in certificate.angles]
    lines = [
        f"{certificate.subject}: {'passes' if certificate.passed else 'FAILS'} in {certificate.dtype}, "
        f"budget {certificate.budget:g}",
        _size(certificate),
        f"eight orientations: largest error {certificate.worst_orientation_error:.2g}; angles between them: "
        f"error up to {max(errors, default=0):.2g}, agreement drop up to {max(drops, default=0):.2%}",
    ]
    if field is not None:
        measured = (
            f"beyond the {field.image_px} px image"
            if field.gradient_px is None
            else f"{field.gradient_px} px"
        )
        declared = "none" if field.formula_px is None else f"{field.formula_px} px"
        way = "changed px" if certificate.path == "onnx" else "gradient"
        lines.append(f"receptive field by {way}: {measured}; declared halo: {declared}")
    if tiling is not None:
        lines.append(
            f"difference between tiled and whole image: {tiling.error:.2g} with halo {tiling.halo_px} px; "
            f"{tiling.error_without_halo:.2g} with halo 0"
        )
    if certificate.rings is not None:
        rings = certificate.rings.worst
        lines.append(
            "ring kernels, as on slides: "
            + ("bitwise identical" if rings == 0 else f"probabilities differ by {rings:.2g}")
        )
    return [*lines, *(f"Reason: {reason}" for reason in certificate.reasons)]


def _size(certificate: Certificate) -> str:
    lattice = f"lattice {certificate.lattice_px} px"
    if certificate.parameters is None or certificate.gflop_per_mpx is None:
        return f"ONNX, parameters not counted, {lattice}"
    return f"{certificate.parameters:,} parameters, {certificate.gflop_per_mpx:.1f} GFLOP per Mpx, {lattice}"


def _draw_summary(axes: Any, certificate: Certificate) -> None:
    axes.set_axis_off()
    first, *lines = [part for line in summary(certificate) for part in textwrap.wrap(line, 165)]
    colour = GOOD if certificate.passed else BAD
    axes.text(0, 1, first, color=colour, fontsize=14, weight="bold", va="top", transform=axes.transAxes)
    axes.text(0, 0.74, "\n".join(lines), fontsize=8.5, va="top", linespacing=1.35, transform=axes.transAxes)


def _draw_orientations(axes: Any, certificate: Certificate) -> None:
    sizes = [size for size in certificate.sizes if size.refused is None]
    refused = [
        f"{size.height_px} x {size.width_px}" for size in certificate.sizes if size.refused is not None
    ]
    names = [name for name in sizes[0].errors if name != "R0"]
    width = 0.8 / len(sizes)
    for index, size in enumerate(sizes):
        places = np.arange(len(names)) + (index - (len(sizes) - 1) / 2) * width
        label = f"{size.height_px} x {size.width_px} px" + ("" if size.on_lattice else ", off the lattice")
        heights = [_shown(size.errors[name]) for name in names]
        axes.bar(places, heights, width, label=label, bottom=LOWEST)
    axes.set_xticks(range(len(names)), names)
    _budget(axes, certificate)
    note = f"\nrefused: {', '.join(refused)} px" if refused else ""
    axes.set_title("error in the eight orientations: rotated (R), mirrored (M)" + note, fontsize=9)
    axes.legend(fontsize=7, loc="upper right", ncols=3)


def _draw_layers(axes: Any, certificate: Certificate) -> None:
    errors = [_shown(layer.error) for layer in certificate.layers]
    colours = [BAD if layer.error > certificate.budget else INK for layer in certificate.layers]
    axes.scatter(range(len(errors)), errors, c=colours, s=14)
    _budget(axes, certificate)
    axes.set_title("error per layer, in execution order", fontsize=9)
    axes.set_xlabel("layer", fontsize=8)
    axes.set_xlim(-1, len(errors))
    first = certificate.first_broken_layer
    if first is not None:
        place = certificate.layers.index(first)
        axes.axvline(place, color=BAD, linewidth=0.8)
        axes.text(place, LOWEST * 10, f" {first.name} ({first.kind})", color=BAD, fontsize=8)


def _budget(axes: Any, certificate: Certificate) -> None:
    axes.set_yscale("log")
    axes.set_ylim(LOWEST, 1e4)
    axes.axhline(certificate.budget, color=BAD, linestyle="--", linewidth=1)
    axes.text(
        0.01, certificate.budget * 1.5, "budget", color=BAD, fontsize=8, transform=axes.get_yaxis_transform()
    )
    axes.set_ylabel("relative error", fontsize=8)
    axes.tick_params(labelsize=8)


def _shown(error: float) -> float:
    """Clip an error to the range of the logarithmic axis."""
    return min(max(error, LOWEST), 10.0)


def _draw_angles(axes: Any, certificate: Certificate) -> None:
    degrees = [angle.degrees for angle in certificate.angles]
    errors = [angle.error for angle in certificate.angles]
    drops = [100 * angle.agreement_drop for angle in certificate.angles]
    axes.plot(degrees, errors, "o-", color=INK, markersize=3)
    axes.set_ylabel("error / spread", color=INK, fontsize=8)
    beside = axes.twinx()
    beside.plot(degrees, drops, "s-", color="#c2741a", markersize=3)
    beside.set_ylabel("agreement drop, %", color="#c2741a", fontsize=8)
    for one in (axes, beside):
        one.set_ylim(bottom=0)
        one.tick_params(labelsize=8)
    axes.set_xticks(range(0, 361, 45))
    axes.set_xlabel("degrees", fontsize=8)
    axes.set_title("rotations of synthetic tissue, against 0 degrees", fontsize=9)


def _draw_receptive_field(axes: Any, certificate: Certificate) -> None:
    field = certificate.reach
    axes.set_title("receptive field", fontsize=9)
    if field is None:
        label = "one vector per image: no receptive field"
        axes.text(0.5, 0.5, label, ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    axes.semilogy(np.arange(1, len(field.influence) + 1), field.influence, color=INK)
    axes.set_xlabel("px outside the output's lattice cell", fontsize=8)
    axes.set_ylabel("gradient, relative", fontsize=8)
    axes.tick_params(labelsize=8)
    if field.formula_px is not None:
        axes.axvline(field.formula_px, color=GOOD, linestyle="--", linewidth=1)
        place = {"ha": "right", "va": "top", "rotation": 90, "transform": axes.get_xaxis_transform()}
        axes.text(field.formula_px, 0.95, "declared halo", color=GOOD, fontsize=8, **place)
