"""Certify an ONNX network as it runs on slides, from pixels to probabilities.

Nothing of its inside is visible: neither layers nor gradients, and its parameters are not counted.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

import numpy as np
import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.cards.card import Normalisation
from wsipipe.models.cards.weights import ONNX_SUFFIX
from wsipipe.models.certificate.layer_outputs import relative_error
from wsipipe.models.certificate.measurements import angle_errors, noise, size_errors, sizes_to_try
from wsipipe.models.certificate.perturbation import reach_by_perturbation
from wsipipe.models.certificate.reasons import receptive_field_reasons, tiling_reasons
from wsipipe.models.certificate.record import BUDGETS, Certificate, Dtype, SizeErrors, Tiling
from wsipipe.models.certificate.subject import NetworkUnderTest
from wsipipe.models.foreign.predictor import OnnxPredictor, load_onnx

EVEN_ODDS = 0.5


def is_onnx(model: str | Path | nn.Module) -> TypeGuard[str | Path]:
    """Return whether a model is named as an ONNX file."""
    return not isinstance(model, nn.Module) and Path(model).suffix == ONNX_SUFFIX


def check_onnx_options(weights: str | Path, dtype: Dtype, lattice_px: int | None) -> None:
    """Refuse a precision or lattice other than the network's own.

    Raises:
        ModelError: One of them was chosen.
    """
    if dtype != "float32" or lattice_px is not None:
        raise ModelError(
            f"{weights} is an ONNX network: it runs in float32, on the lattice of its card. Certify it "
            "without dtype and lattice."
        )


def certify_onnx(weights: str | Path, tiled: bool, degrees: Sequence[float]) -> Certificate:
    """Return the certificate of an ONNX file.

    Args:
        weights: Path of the file; its card is in the same folder.
        tiled: Also compare a window with a larger image.
        degrees: Angles at which error and drop are measured; they do not affect the verdict.

    Raises:
        ModelError: File or card are missing, damaged or unfit, or onnxruntime is not installed.
    """
    return certify_predictor(load_onnx(weights), tiled, degrees)


def certify_predictor(predict: OnnxPredictor, tiled: bool, degrees: Sequence[float]) -> Certificate:
    """Return the certificate of an ONNX network."""
    subject, budget = as_subject(predict), BUDGETS["float32"]
    sizes = [size_errors(subject, *size, torch.float32) for size in sizes_to_try(subject.lattice_px)]
    field = reach_by_perturbation(as_subject(predict.of_one_orientation()))
    tiling = window_error(subject, predict.card.side_px) if tiled else None
    reasons = [
        *_orientation_reasons(sizes, budget),
        *receptive_field_reasons(field),
        *tiling_reasons(tiling, budget),
    ]
    return Certificate(
        subject=subject.name,
        weights_sha256=subject.sha256,
        path="onnx",
        dtype="float32",
        budget=budget,
        answer="map",
        parameters=None,
        gflop_per_mpx=None,
        lattice_px=subject.lattice_px,
        sizes=sizes,
        layers=[],
        first_broken_layer=None,
        angles=angle_errors(_signed(subject, predict), degrees, torch.float32),
        reach=field,
        tiling=tiling,
        rings=None,
        reasons=reasons,
        passed=not reasons,
    )


def as_subject(predict: OnnxPredictor) -> NetworkUnderTest:
    """Wrap a predictor as a network under test, whose scores are probabilities."""

    def probabilities(images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 2, 3, 1).round().clamp(0, 255).to(torch.uint8).numpy()
        return torch.from_numpy(np.stack([predict(image) for image in pixels]))

    return NetworkUnderTest(
        name=predict.card.name,
        network=nn.Identity(),
        scores=probabilities,
        parameters=0,
        lattice_px=predict.lattice_px,
        halo_px=predict.halo_px,
        normalisation=Normalisation(offset=0.0, scale=1.0),
        sha256=predict.card.sha256,
        independent=predict.card.activation == "sigmoid",
    )


def _signed(subject: NetworkUnderTest, predict: OnnxPredictor) -> NetworkUnderTest:
    """Return the network with probabilities above 0 where an independent map is decided for."""
    shift = EVEN_ODDS if predict.card.activation == "sigmoid" else 0.0
    return replace(subject, scores=lambda images: subject.scores(images) - shift)


def _orientation_reasons(sizes: Sequence[SizeErrors], budget: float) -> list[str]:
    """List failures under the eight orientations."""
    worst = max(sizes, key=lambda size: size.worst)
    if worst.worst <= budget:
        return []
    name = max(worst.errors, key=lambda orientation: worst.errors[orientation])
    return [
        f"The network is not equivariant. In orientation {name} at {worst.height_px} x {worst.width_px} px "
        "the "
        f"probabilities differ by {worst.worst:.2g} (budget {budget:g}). Set symmetrise to true in its card."
    ]


def window_error(subject: NetworkUnderTest, side_px: int) -> Tiling:
    """Return the error of a window against a larger image around it.

    The window is as on slides. Without halo, all of it is compared.

    Args:
        subject: The network.
        side_px: Side of the window with its halo, px.
    """
    halo_px = subject.halo_px or 0
    margin = max(halo_px, subject.lattice_px)
    image = noise(subject, side_px + 2 * margin, side_px + 2 * margin, torch.float32)
    whole, found = subject.output(image), subject.output(image[..., margin:-margin, margin:-margin])
    stride = side_px // found.shape[-1]
    beside = margin // stride
    truth = whole[..., beside : beside + found.shape[-2], beside : beside + found.shape[-1]]
    inner = slice(halo_px // stride, found.shape[-1] - halo_px // stride)
    return Tiling(
        halo_px=halo_px,
        core_px=side_px - 2 * halo_px,
        error=relative_error(found[..., inner, inner], truth[..., inner, inner]),
        error_without_halo=relative_error(found, truth),
    )
