"""A model's card as Markdown, for people: the same facts as its JSON, and what its certificate says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsipipe.models.cards.card import ModelCard

NOT_CERTIFIED = "Not certified yet: `wsipipe certify {name} --write` measures it."


def card_text(card: "ModelCard", certificate: Mapping[str, Any] | None = None) -> str:
    """Markdown of a card.

    Args:
        card: The card.
        certificate: The JSON of its certificate, if it has one.
    """
    parts = [
        f"# {card.name}",
        f"**{card.intended_use}**" + (" **Non-commercial use only.**" if card.non_commercial else ""),
        _facts(card),
        "## Learnt from\n\n" + "\n".join(f"- {source}" for source in card.data),
        *_ranges(card),
        "## Outputs\n\n" + "\n".join(f"- `{one.name}`: {one.description or '-'}" for one in card.outputs),
        *_chosen(card),
        *_measured(card),
        "## Certificate\n\n" + (_certificate(certificate) or NOT_CERTIFIED.format(name=card.name)),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(card: "ModelCard") -> str:
    rows = {
        "network": f"`{card.architecture}`, mode `{card.mode}`",
        "um/px": f"{card.mpp:g}",
        **({"organ": card.organ} if card.organ else {}),
        "stain": card.stain + (", brought to one reference on every slide" if card.stain_reference else ""),
        "licence": card.licence,
        "answer": f"{card.activation}, temperature {card.temperature:g}",
        "tiling": f"halo {card.halo_px} px, lattice {card.lattice_px} px, stride {card.stride} px",
        "SHA-256": f"`{card.sha256}`",
    }
    return "| | |\n| --- | --- |\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def _ranges(card: "ModelCard") -> list[str]:
    found = card.training_range
    if found is None:
        return []
    lines = [
        "What these data look like; `wsipipe run` warns where a slide is far from it.",
        f"- hues of the dyes: {found.hue_degrees[0]:g} to {found.hue_degrees[1]:g} degrees",
        f"- median brightness of a field: {found.least_brightness:g} or more",
    ]
    for about, values in (
        ("nuclei a mm2 of a field", found.nuclei_per_mm2),
        ("median area of a field's nuclei, um2", found.nucleus_area_um2),
    ):
        lines += [f"- {about}: {values[0]:g} to {values[1]:g}"] if values else []
    if card.known:
        lines.append(
            f"- cells further than {card.known.limit:g} from all learnt features are `unknown`, as are "
            f"{card.known.false_share:.0%} of what was learnt"
        )
    first, *rest = lines
    return [first + "\n\n" + "\n".join(rest)]


def _chosen(card: "ModelCard") -> list[str]:
    values = {f"{name} threshold": value for name, value in card.thresholds.items()} | card.instance_params
    if not values:
        return []
    listed = "\n".join(f"- {name}: {value:g}" for name, value in values.items())
    return [f"## Chosen on validation data\n\n{listed}"]


def _measured(card: "ModelCard") -> list[str]:
    if not card.metrics:
        return [f"## Measured\n\nNothing yet. {card.notes}".rstrip()]
    rows = []
    for name, value in card.metrics.items():
        low, high = card.intervals.get(name, (None, None))
        sure = "-" if low is None else f"{low:.4g} to {high:.4g}"
        rows.append(f"| {name} | {value:.4g} | {sure} |")
    table = "| score | value | 95 % interval |\n| --- | --- | --- |\n" + "\n".join(rows)
    return [f"## Measured\n\n{table}\n\n{card.notes}".rstrip()]


def _certificate(certificate: Mapping[str, Any] | None) -> str:
    """Verdict, and the largest error of the eight orientations on each of the two paths."""
    if certificate is None:
        return ""
    verdict = "Passed" if certificate["passed"] else "**Failed**"
    lines = [
        f"{verdict} in {certificate['dtype']}, budget {certificate['budget']:g}; largest error of the eight "
        f"orientations {_worst(certificate['sizes']):.2g}."
    ]
    if certificate.get("rings"):
        worst = _worst(certificate["rings"]["sizes"])
        said = "the same bits" if worst == 0 else f"largest error {worst:.2g}"
        lines.append(f"By the ring kernels, as slides are run: {said}.")
    return "\n".join([*lines, *(f"- {reason}" for reason in certificate["reasons"])])


def _worst(sizes: list[Mapping[str, Any]]) -> float:
    return max((error for size in sizes for error in size["errors"].values()), default=0.0)
