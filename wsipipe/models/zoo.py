"""Weights and their cards: what a network is, what it was made from, and for what it may be used.

A model is two files of one stem: ``NAME.safetensors`` and ``NAME.json`` (the :class:`ModelCard`). Cards are
read without torch, so that a workflow can be checked before any work is started.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wsipipe.errors import ModelError

WEIGHTS_DIR = Path(__file__).parent / "weights"
SUFFIX = ".safetensors"


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


class ModelCard(BaseModel):
    """Everything about a set of weights but the weights.

    Attributes:
        name: Stem of both files.
        architecture: Network class.
        arguments: Its constructor's arguments.
        mode: Kind of ring convolution.
        mpp: Um per px the network was trained at.
        outputs: Maps or classes, in channel order.
        activation: ``sigmoid`` (independent maps) or ``softmax`` (one class).
        temperature: Raw scores are divided by it first.
        lattice_px: Origins and extents of patches are multiples of this; from the network when it is saved.
        halo_px: Context a core on the lattice needs on each side, px of the network's image; likewise.
        stride: Px of the image for each px of the answer; likewise.
        sha256: Of the safetensors file.
        data: What it was trained on.
        licence: Under which the weights may be used.
        non_commercial: True if the data forbid commercial use.
        thresholds: Chosen on validation data, by name.
        metrics: Measured on validation data, by name.
        notes: How metrics and weights came about.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    architecture: str
    arguments: dict[str, Any]
    mode: Literal["radial", "index"] = "radial"
    mpp: float = Field(gt=0)
    outputs: tuple[Output, ...] = Field(min_length=1)
    activation: Literal["sigmoid", "softmax"]
    temperature: float = Field(default=1.0, gt=0)
    normalisation: Normalisation = Normalisation()
    lattice_px: int = Field(default=1, ge=1)
    halo_px: int = Field(default=0, ge=0)
    stride: int = Field(default=1, ge=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    data: tuple[str, ...]
    licence: str
    non_commercial: bool
    intended_use: str = "Research use only. Not a medical device."
    thresholds: dict[str, float] = {}
    metrics: dict[str, float] = {}
    notes: str = ""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in channel order."""
        return tuple(output.name for output in self.outputs)


def list_models(folder: Path = WEIGHTS_DIR) -> list[str]:
    """Names of the models in ``folder``, sorted."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}") if path.with_suffix(".json").is_file())


def find_weights(name_or_path: str | Path) -> Path:
    """File of a shipped model's name, or of a path to a ``.safetensors`` file.

    Raises:
        ModelError: There is no such model or file, it has no card, or it is not safetensors.
    """
    text = str(name_or_path)
    if text in list_models():
        return WEIGHTS_DIR / f"{text}{SUFFIX}"
    path = Path(text).expanduser()
    if path.suffix != SUFFIX and path.is_file():
        raise ModelError(
            f"{path} is a {path.suffix or 'nameless'} file; only {SUFFIX} is loaded, as others can run "
            "code. Convert it first."
        )
    if not path.is_file():
        raise ModelError(
            f"No weights {text!r}: no such file, and the models shipped are "
            f"{', '.join(list_models()) or 'none'}. Name one of these, or a {SUFFIX} file that has its card."
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
    """Card of a model whose file is the card's own, by its hash; does not import torch.

    Raises:
        ModelError: As :func:`read_card`, or the file is not the one that the card describes.
    """
    path, card = find_weights(weights), read_card(weights)
    found = file_sha256(path)
    if found != card.sha256:
        raise ModelError(
            f"{path} has SHA-256 {found[:12]}..., its card says {card.sha256[:12]}...; the file is damaged "
            "or not the card's. Restore both from one source."
        )
    return card


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write ``NAME.json`` into ``folder``."""
    path = folder / f"{card.name}.json"
    path.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
