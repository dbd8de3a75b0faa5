"""The model card: what a network is, its training data, and permitted use."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from wsipipe.models.cards.training_range import Known, TrainingRange


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
        trained_groups: Groups (organs, patients) it was trained on, by source; none for all of a source.
        licence: Under which the weights may be used.
        non_commercial: True if the data forbid commercial use.
        thresholds: Chosen on validation data, by name.
        instance_params: The other parameters of the instance stages chosen with them, by name.
        metrics: Measured on validation data, by name.
        intervals: (low, high) of the metrics, 95 %, by name.
        notes: How metrics and weights came about.
        training_range: What the training data looked like, for the checks of a slide; None to make none.
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
    trained_groups: dict[str, tuple[str, ...]] = {}
    licence: str
    non_commercial: bool
    intended_use: str = "Research use only. Not a medical device."
    thresholds: dict[str, float] = {}
    instance_params: dict[str, float] = {}
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    notes: str = ""
    training_range: TrainingRange | None = None
    known: Known | None = None

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in channel order."""
        return tuple(output.name for output in self.outputs)
