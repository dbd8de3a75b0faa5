"""Model cards as Markdown, with a summary of the certificate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsipipe.models.cards.card import ModelCard

NOT_CERTIFIED = "Not certified yet. Run `wsipipe certify {name} --write`."


def card_text(card: "ModelCard", certificate: Mapping[str, object] | None = None) -> str:
    """Return the Markdown of a card.

    Args:
        card: The card.
        certificate: JSON of its certificate; None if it has none.
    """
    parts = [
        f"# {card.name}",
        f"**{card.intended_use}**" + (" **Non-commercial use only.**" if card.non_commercial else ""),
        _facts(card),
        "## Training data\n\n" + "\n".join(f"- {source}" for source in card.data),
        *_ranges(card),
        "## Outputs\n\n" + "\n".join(f"- `{one.name}`: {one.description or '-'}" for one in card.outputs),
        *_chosen(card),
        *_measured(card),
        "## Certificate\n\n" + (_certificate(certificate) or NOT_CERTIFIED.format(name=card.name)),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(card: "ModelCard") -> str:
    rows = {
        "network": f"`{card.architecture}`"
        + ("" if card.architecture == "onnx" else f", mode `{card.mode}`")
        + (", mean of the eight orientations" if getattr(card, "symmetrise", False) else ""),
        "um/px": f"{card.mpp:g}",
        **({"organ": card.organ} if card.organ else {}),
        "stain": card.stain
        + (", normalised to one reference on every slide" if card.stain_reference else ""),
        "licence": card.licence,
        "activation": f"{card.activation}, temperature {card.temperature:g}",
        "tiling": f"halo {card.halo_px} px, lattice {card.lattice_px} px, stride {card.stride} px",
        "SHA-256": f"`{card.sha256}`",
    }
    return "| | |\n| --- | --- |\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def _ranges(card: "ModelCard") -> list[str]:
    found = card.training_range
    if found is None:
        return []
    lines = [
        "Ranges of these data; `wsipipe run` warns about slides far outside of them.",
        f"- hues of the dyes: {found.hue_degrees[0]:g} to {found.hue_degrees[1]:g} degrees",
        f"- median brightness of a field: {found.least_brightness:g} or more",
    ]
    for label, values in (
        ("nuclei per mm2 of a field", found.nuclei_per_mm2),
        ("median area of a field's nuclei, um2", found.nucleus_area_um2),
    ):
        lines += [f"- {label}: {values[0]:g} to {values[1]:g}"] if values else []
    if card.known:
        lines.append(
            f"- cells further than {card.known.limit:g} from all known features are `unknown`, as are "
            f"{card.known.false_share:.0%} of held-out cells of the trained classes"
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
        return [f"## Scores\n\nNone yet. {card.notes}".rstrip()]
    rows = []
    for name, value in card.metrics.items():
        low, high = card.intervals.get(name, (None, None))
        interval = "-" if low is None else f"{low:.4g} to {high:.4g}"
        rows.append(f"| {name} | {value:.4g} | {interval} |")
    table = "| score | value | 95 % interval |\n| --- | --- | --- |\n" + "\n".join(rows)
    return [f"## Scores\n\n{table}\n\n{card.notes}".rstrip()]


def _certificate(certificate: Mapping[str, Any] | None) -> str:
    """Return the verdict and the largest errors of the eight orientations.

    One error is of the plain network, one of the ring kernels.
    """
    if certificate is None:
        return ""
    verdict = "Passed" if certificate["passed"] else "**Failed**"
    lines = [
        f"{verdict} in {certificate['dtype']}, budget {certificate['budget']:g}; largest error of the eight "
        f"orientations {_worst(certificate['sizes']):.2g}."
    ]
    if certificate.get("rings"):
        worst = _worst(certificate["rings"]["sizes"])
        result = "bitwise identical" if worst == 0 else f"largest error {worst:.2g}"
        lines.append(f"With the ring kernels, as on slides: {result}.")
    return "\n".join([*lines, *(f"- {reason}" for reason in certificate["reasons"])])


def _worst(sizes: list[Mapping[str, Any]]) -> float:
    return max((error for size in sizes for error in size["errors"].values()), default=0.0)
