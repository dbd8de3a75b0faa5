"""Weights and their cards: what a network is, what it was made from, and for what it may be used.

A model is files of one stem: ``NAME.safetensors``, ``NAME.json`` (the :class:`ModelCard`), its text
``NAME.md``, ``NAME.certificate.json`` once it is certified, and ``NAME.known.npy`` for a classifier that can
say "unknown". Cards are read without torch, so that a workflow can be checked before any work is started.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wsipipe.common.atomic_files import sha256_of
from wsipipe.errors import ModelError
from wsipipe.models.cards.learnt import Known, Learnt
from wsipipe.models.cards.markdown import card_text

WEIGHTS_DIR = Path(__file__).parents[1] / "weights"
SUFFIX = ".safetensors"
CERTIFICATE_SUFFIX = ".certificate.json"
KNOWN_SUFFIX = ".known.npy"


class Output(BaseModel):
    """One map or class that the network gives.

    Attributes:
        name: Short name, used for arrays and tables.
        description: What it means.
        color: RGB, 0 to 255 each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    color: tuple[int, int, int] = (128, 128, 128)


class Normalisation(BaseModel):
    """Pixels enter the network as (value - offset) / scale; white is 0, as the zero padding is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    offset: float = 255.0
    scale: float = Field(default=64.0, gt=0)


Density = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StainReference(BaseModel):
    """Optical density, -ln((value + 1) / 256), at most 2, of the tissue that a network learnt from.

    Attributes:
        mean: Of red, green and blue.
        sd: Standard deviation of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[Density, Density, Density]
    sd: tuple[Density, Density, Density]


class ModelCard(BaseModel):
    """Everything about a set of weights but the weights.

    Attributes:
        name: Stem of both files.
        architecture: Network class.
        arguments: Its constructor's arguments.
        mode: Kind of ring convolution.
        mpp: Um per px the network was trained at.
        stain: That it was trained on.
        organ: That it was trained on, as ``colon``; empty if not said.
        outputs: Maps or classes, in channel order.
        activation: ``sigmoid`` (independent maps) or ``softmax`` (one class).
        temperature: Raw scores are divided by it first.
        stain_reference: Colours that a slide's tissue is brought to first; None to take it as it is.
        lattice_px: Origins and extents of patches are multiples of this; from the network when it is saved.
        halo_px: Context a core on the lattice needs on each side, px of the network's image; likewise.
        stride: Px of the image for each px of the answer; likewise.
        sha256: Of the safetensors file.
        data: What it was trained on.
        learnt_groups: Groups (organs, patients) it was trained on, by source; none for all of a source.
        licence: Under which the weights may be used.
        non_commercial: True if the data forbid commercial use.
        thresholds: Chosen on validation data, by name.
        instance_params: The other parameters of the instance stages chosen with them, by name.
        metrics: Measured on validation data, by name.
        intervals: (low, high) of the metrics, 95 %, by name.
        notes: How metrics and weights came about.
        learnt: What the training data looked like, for the checks of a slide; None to make none.
        known: Features of the training data, for "unknown"; None if the network cannot say so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    architecture: str
    arguments: dict[str, Any]
    mode: Literal["radial", "index", "narrow"] = "radial"
    mpp: float = Field(gt=0)
    stain: str = "H&E"
    organ: str = ""
    outputs: tuple[Output, ...] = Field(min_length=1)
    activation: Literal["sigmoid", "softmax"]
    temperature: float = Field(default=1.0, gt=0)
    normalisation: Normalisation = Normalisation()
    stain_reference: StainReference | None = None
    lattice_px: int = Field(default=1, ge=1)
    halo_px: int = Field(default=0, ge=0)
    stride: int = Field(default=1, ge=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    data: tuple[str, ...]
    learnt_groups: dict[str, tuple[str, ...]] = {}
    licence: str
    non_commercial: bool
    intended_use: str = "Research use only. Not a medical device."
    thresholds: dict[str, float] = {}
    instance_params: dict[str, float] = {}
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    notes: str = ""
    learnt: Learnt | None = None
    known: Known | None = None

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in channel order."""
        return tuple(output.name for output in self.outputs)


def user_folder() -> Path:
    """Where fetched models lie: $WSIPIPE_MODELS, or wsipipe/models in $XDG_DATA_HOME or ~/.local/share."""
    if "WSIPIPE_MODELS" in os.environ:
        return Path(os.environ["WSIPIPE_MODELS"]).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "wsipipe" / "models"


def list_models(folder: Path = WEIGHTS_DIR) -> list[str]:
    """Names of the models in ``folder``, sorted."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}") if path.with_suffix(".json").is_file())


def known_models() -> list[str]:
    """Names of the models shipped and, after them, of those fetched."""
    return [*list_models(), *(name for name in list_models(user_folder()) if name not in list_models())]


def find_weights(name_or_path: str | Path) -> Path:
    """File of a shipped or fetched model's name (the shipped one first), or of a ``.safetensors`` file.

    Raises:
        ModelError: There is no such model or file, it has no card, or it is not safetensors.
    """
    text = str(name_or_path)
    for folder in (WEIGHTS_DIR, user_folder()):
        if text in list_models(folder):
            return folder / f"{text}{SUFFIX}"
    path = Path(text).expanduser()
    if path.suffix != SUFFIX and path.is_file():
        raise ModelError(
            f"{path} is no {SUFFIX} file, and only these are loaded, as others can run code. Convert it: "
            "wsipipe models convert."
        )
    if not path.is_file():
        raise ModelError(
            f"No weights {text!r}: no such file, and the models here are "
            f"{', '.join(known_models()) or 'none'}. Name one of these, or a {SUFFIX} file that has its "
            "card, or fetch it: wsipipe models fetch."
        )
    if not path.with_suffix(".json").is_file():
        raise ModelError(f"{path} has no card; put {path.with_suffix('.json').name} beside it.")
    return path


def read_card(weights: str | Path) -> ModelCard:
    """Card of a model's name or weight file; does not import torch and does not hash the weights.

    Raises:
        ModelError: The weights are not there, or the card is no valid card; names its first wrong field.
    """
    path = find_weights(weights).with_suffix(".json")
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(
            f"The model card {path} is wrong at {field}: {first['msg']}. Restore or correct it."
        ) from error


def whole_card(weights: str | Path) -> ModelCard:
    """Card of a model whose file is, by its hash, the card's and its certificate's, if it has one; no torch.

    Raises:
        ModelError: As :func:`read_card`, or the file is not the one that card and certificate describe.
    """
    path, card = find_weights(weights), read_card(weights)
    found = sha256_of(path)
    if found != card.sha256:
        raise ModelError(
            f"{path} has SHA-256 {found[:12]}..., its card says {card.sha256[:12]}...; the file is damaged "
            "or not the card's. Restore both from one source."
        )
    certificate = certificate_path(path)
    if certificate.is_file() and certified_sha256(certificate) != found:
        raise ModelError(
            f"{certificate} is of other weights than {path}. Delete it, and measure these: wsipipe certify "
            f"{path} --write."
        )
    return card


def certificate_path(weights: Path) -> Path:
    """Where the certificate of a weight file lies."""
    return weights.with_name(f"{weights.stem}{CERTIFICATE_SUFFIX}")


def known_path(weights: Path) -> Path:
    """Where the known features of a classifier lie."""
    return weights.with_name(f"{weights.stem}{KNOWN_SUFFIX}")


def check_known(weights: str | Path, card: ModelCard) -> None:
    """Refuse a file of known features that is not the card's.

    Raises:
        ModelError: It is missing, damaged or of other weights.
    """
    path = known_path(find_weights(weights))
    if card.known is None or (path.is_file() and sha256_of(path) == card.known.sha256):
        return
    raise ModelError(
        f"{path} is {'not the file that the card describes' if path.is_file() else 'missing'}. Restore it, "
        "the weights and the card from one source, or do without the class unknown: --set "
        "classify.unknown=false."
    )


def certified_sha256(certificate: Path) -> str | None:
    """SHA-256 of the weights that a certificate was measured on; None if the file does not say it."""
    try:
        says = json.loads(certificate.read_bytes())
    except ValueError:
        return None
    return says.get("weights_sha256") if isinstance(says, dict) else None


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write ``NAME.json`` and ``NAME.md`` into ``folder``; delete a certificate of other weights."""
    path = folder / f"{card.name}.json"
    path.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    certificate = certificate_path(path)
    if certificate.is_file() and certified_sha256(certificate) != card.sha256:
        certificate.unlink()
    measured = json.loads(certificate.read_bytes()) if certificate.is_file() else None
    path.with_suffix(".md").write_text(card_text(card, measured), encoding="utf-8")
    return path


def write_certificate(weights: str | Path, certificate: str) -> Path:
    """Write a certificate (JSON) beside the weights it was measured on, and say so in the card's text.

    Raises:
        ModelError: There are no such weights.
    """
    card, path = read_card(weights), certificate_path(find_weights(weights))
    path.write_text(certificate + "\n", encoding="utf-8")
    write_card(card, path.parent)
    return path
