"""The model card: what a network is and how to use it."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from wsipipe.common.html_tables import facts_table
from wsipipe.models.cards.training_range import Known, TrainingRange


class Output(BaseModel):
    """One map or class that the network predicts.

    Attributes:
        name: Short name, used for arrays and tables.
        description: Meaning of the output.
        color: RGB, 0 to 255 each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    color: tuple[int, int, int] = (128, 128, 128)


class Normalisation(BaseModel):
    """Affine normalisation of pixels, (value - offset) / scale.

    White becomes 0, like the zero padding.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    offset: float = 255.0
    scale: float = Field(default=64.0, gt=0)


Density = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StainReference(BaseModel):
    """Stain statistics of the tissue a network was trained on.

    Optical density is -ln((value + 1) / 256), at most 2.

    Attributes:
        mean: Mean optical density of red, green and blue.
        sd: Standard deviation of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[Density, Density, Density]
    sd: tuple[Density, Density, Density]


class ModelCard(BaseModel):
    """Everything about a set of weights except the weights.

    Attributes:
        name: Stem of the model's files.
        architecture: Network class.
        arguments: Arguments of its constructor.
        mode: Kind of ring convolution.
        mpp: Pixel size of the training images, um/px.
        stain: Stain of the training data.
        organ: Organ of the training data, as ``colon``; empty if not specified.
        outputs: Maps or classes, in channel order.
        types: Names of the outputs that are types of nuclei, the last ones in channel order; empty for none.
            They exclude each other in a pixel (softmax), and are not divided by the temperature.
        activation: ``sigmoid`` (independent maps) or ``softmax`` (one class).
        temperature: Divisor of the raw scores before the activation.
        normalisation: Normalisation of the pixels.
        stain_reference: Colours to which a slide's tissue is normalised; None for no stain normalisation.
        lattice_px: Divisor of the origins and extents of patches; set from the network when it is saved.
        halo_px: Context that a core on the lattice needs on each side, px of the network's image; set
            likewise.
        stride: Image px per output px; set likewise.
        sha256: SHA-256 of the safetensors file.
        data: Training data, one line per source.
        trained_groups: Groups (organs, patients) in the training data, by source; none named for all of a
            source.
        licence: Licence of the weights.
        non_commercial: True if the data forbid commercial use.
        intended_use: Permitted use.
        thresholds: Thresholds chosen on validation data, by name.
        instance_params: The other parameters of the instance stages chosen with them, by name.
        metrics: Scores on validation data, by name.
        intervals: (low, high) of the metrics, 95 %, by name.
        notes: How weights and metrics were obtained.
        training_range: Ranges of the training data that a slide is compared to; None for no comparison.
        known: Features of the training data, for the class "unknown"; None if the network has none.
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
    types: tuple[str, ...] = ()
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

    def _repr_html_(self) -> str:
        """Describe the weights in a notebook."""
        facts = {
            "outputs": ", ".join(self.output_names),
            "resolution": f"{self.mpp:g} um/px",
            "stain": self.stain,
            "organ": self.organ,
            "architecture": self.architecture,
            "licence": self.licence,
            "training data": "; ".join(self.data),
            "scores on validation data": ", ".join(
                f"{key} {value:.3f}" for key, value in self.metrics.items()
            ),
            "use": self.intended_use,
        }
        return facts_table(f"Weights {self.name}", facts)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in channel order."""
        return tuple(output.name for output in self.outputs)

    @property
    def maps(self) -> tuple[Output, ...]:
        """Outputs that are not types of nuclei, in channel order."""
        return self.outputs[: len(self.outputs) - len(self.types)]

    @property
    def type_outputs(self) -> tuple[Output, ...]:
        """Outputs that are types of nuclei, in channel order."""
        return self.outputs[len(self.maps) :]

    @model_validator(mode="after")
    def _types_are_the_last_outputs(self) -> Self:
        if not self.types:
            return self
        names = self.output_names
        if self.activation != "sigmoid" or names[-len(self.types) :] != self.types or "nucleus" in self.types:
            raise ValueError(
                f"types {', '.join(self.types)} must be the last of the outputs ({', '.join(names)}), after "
                "nucleus and centre, with activation sigmoid"
            )
        if len(set(names)) < len(names) or len(self.types) < 2:
            raise ValueError(f"types {', '.join(self.types)} must be two or more names, each once")
        return self

    @model_serializer(mode="wrap")
    def _without_empty_types(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Plans contain their cards: those without types shall give the plans that they always gave.
        values: dict[str, Any] = dump(self)
        if not self.types:
            values.pop("types", None)
        return values

    @property
    def canvas_unit_px(self) -> int:
        """Divisor of the canvas's sides, px of the network's image."""
        return self.lattice_px

    def check_runnable(self) -> None:
        """Check that what the network runs by is installed.

        Raises:
            ModelError: It is not.
        """
