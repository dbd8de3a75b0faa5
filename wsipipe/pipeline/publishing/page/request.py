"""Collect what was asked of a slide: workflow, settings, weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import certificate_path, find_weights
from wsipipe.models.certificate.record import Certificate
from wsipipe.pipeline.planning.plan import Plan

_NOT_SETTINGS = ("name", "description")


@dataclass(frozen=True)
class WeightsFacts:
    """Facts about the weights of one stage.

    Attributes:
        stage: Section of the workflow.
        name: Name of the weights.
        architecture: Class of the network.
        mpp: Um per px of the training data.
        organ: Organ of the training data; empty if not specified.
        stain: Stain of the training data.
        licence: Licence of the weights.
        non_commercial: Whether the licence forbids commercial use.
        intended_use: Permitted use.
        sha256: SHA-256 of the weight file.
        data: Training data, a line for each source.
        thresholds: Thresholds chosen on validation data.
        precision: Precision in which the network runs.
        certificate: Measured properties by name; empty without a certificate.
        certified: Verdict of the certificate; None without one.
    """

    stage: str
    name: str
    architecture: str
    mpp: float
    organ: str
    stain: str
    licence: str
    non_commercial: bool
    intended_use: str
    sha256: str
    data: tuple[str, ...]
    thresholds: dict[str, float]
    precision: str
    certificate: dict[str, str]
    certified: bool | None


def settings_of(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield name and value of each setting, as ``segment.patch_px`` and ``1024``.

    Args:
        values: Values of a workflow, sections as mappings.
        prefix: Name of the section, with a dot.
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from settings_of(value, f"{prefix}{name}.")
        elif prefix or name not in _NOT_SETTINGS:
            listed = isinstance(value, list | tuple)
            yield f"{prefix}{name}", ", ".join(map(str, value)) if listed else str(value)  # type: ignore[call-overload]


def weights_of(plan: Plan) -> Iterator[WeightsFacts]:
    """Yield the facts about the weights of each network."""
    sections: Mapping[str, Any] = plan.parameters()
    for stage, card in plan.cards.items():
        certificate = _certificate(str(plan.workflow.networks()[stage].weights))
        yield WeightsFacts(
            stage,
            **_from_card(card),
            precision=str(sections[stage].get("precision", "")),
            certificate=measured(certificate) if certificate else {},
            certified=certificate.passed if certificate else None,
        )


def _from_card(card: ModelCard) -> dict[str, Any]:
    names = ("name", "architecture", "mpp", "organ", "stain", "licence", "non_commercial", "intended_use")
    return {name: getattr(card, name) for name in (*names, "sha256", "data", "thresholds")}


def _certificate(weights: str) -> Certificate | None:
    """Return the certificate of weights; None if there is none that this version reads."""
    try:
        return Certificate.model_validate_json(certificate_path(find_weights(weights)).read_bytes())
    except (ModelError, OSError, ValidationError):
        return None


def measured(certificate: Certificate) -> dict[str, str]:
    """Return what a certificate says, by the name of each property."""
    found = {
        "largest difference in the eight orientations": f"{certificate.worst_orientation_error:.2g} of the "
        f"largest score ({certificate.dtype}; {certificate.budget:g} allowed)"
    }
    if certificate.tiling:
        found["difference between tiles and the whole image"] = (
            f"{certificate.tiling.error:.2g} with a context of {certificate.tiling.halo_px} px"
        )
    if certificate.rings:
        same = "none, bitwise identical" if not certificate.rings.worst else f"{certificate.rings.worst:.2g}"
        found["difference as run on slides"] = same
    if certificate.reach and certificate.reach.gradient_px is not None:
        found["receptive field"] = f"{certificate.reach.gradient_px} px on each side"
    if certificate.reasons:
        found["reasons for the failure"] = " ".join(certificate.reasons)
    return found
