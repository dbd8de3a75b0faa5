"""What a certificate says, as strict JSON; read without torch."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Dtype = Literal["float32", "float64", "bfloat16"]
# Three digits: more differ from machine to machine.
Error = Annotated[float, AfterValidator(lambda error: float(f"{error:.3g}"))]
BUDGETS: dict[Dtype, float] = {"float32": 1e-5, "float64": 1e-12, "bfloat16": 0.05}


class CertificateRecord(BaseModel):
    """A frozen part of a certificate; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SizeErrors(CertificateRecord):
    """How one image size came through the eight orientations.

    Attributes:
        height_px: Of the image.
        width_px: Of the image.
        on_lattice: True if both are multiples of the network's lattice.
        refused: What the network said, if it did not take the size.
        errors: By orientation, largest difference over the largest value of the straight answer.
    """

    height_px: int
    width_px: int
    on_lattice: bool
    refused: str | None = None
    errors: dict[str, Error] = {}

    @property
    def worst(self) -> float:
        """Largest error; 0 for a refused size."""
        return max(self.errors.values(), default=0.0)


class LayerError(CertificateRecord):
    """Error of one leaf module's output, worst of a quarter turn and a mirror.

    Attributes:
        name: Dotted name in the network; ``#2`` is its second call.
        kind: Its class.
        error: As in :class:`SizeErrors`.
    """

    name: str
    kind: str
    error: Error


class AngleError(CertificateRecord):
    """One turn of the made picture, about its centre; compared on the disc that every angle shows.

    Attributes:
        degrees: Counter-clockwise.
        error: Root mean square difference over the spread of the straight answer.
        agreement_drop: Share of px (or of answers) whose decision differs from the straight one's.
    """

    degrees: float
    error: Error
    agreement_drop: Error


class ReceptiveField(CertificateRecord):
    """How far outside its own lattice cell an answer looks, px.

    Attributes:
        gradient_px: Measured: the farthest px with a gradient; None if it runs off the image.
        formula_px: What the network says it needs (``halo_px``); None if it says nothing.
        image_px: Length of the image on which it was measured.
        influence: Largest gradient at 1, 2, ... px outside the cell, over the largest inside.
    """

    gradient_px: int | None
    formula_px: int | None
    image_px: int
    influence: list[Error]


class Tiling(CertificateRecord):
    """Patches of core and halo, put together, against the whole.

    Attributes:
        halo_px: Context on each side of a patch.
        core_px: What a patch gives.
        error: As in :class:`SizeErrors`.
        error_without_halo: The same with halo 0.
    """

    halo_px: int
    core_px: int
    error: Error
    error_without_halo: Error


class RingKernelErrors(CertificateRecord):
    """The predictor by ring kernels, as slides are run: not one bit of a probability may change.

    Attributes:
        sizes: The eight orientations, by image size.
        tiling: Tiled against whole; None if not asked for.
    """

    sizes: list[SizeErrors]
    tiling: Tiling | None

    @property
    def worst(self) -> float:
        """Largest error; 0 means the same bits."""
        return max([size.worst for size in self.sizes] + ([self.tiling.error] if self.tiling else []))


class Certificate(CertificateRecord):
    """What was measured on one network, and whether it keeps wsipipe's two promises.

    Attributes:
        schema_version: Of this file.
        subject: Name of the weights, or of what was imported.
        weights_sha256: Of the weight file, if there is one.
        path: How it ran but for ``rings``: ``folded`` into plain convolutions, or as the ``module`` given.
        dtype: In what it computed.
        budget: Largest error allowed.
        answer: A ``map`` of scores, or one ``vector`` an image.
        parameters: TrainingRange numbers.
        gflop_per_mpx: 1e9 multiplications and additions for each 1e6 px of image.
        lattice_px: Extents of patches are multiples of this.
        sizes: The eight orientations, by image size.
        layers: Each leaf module in the order it ran.
        first_broken_layer: The first of them over budget; what breaks may also stand just before it.
        angles: Turns in between.
        reach: Receptive reach; None if the answer is a vector.
        tiling: Tiled against whole; None if not asked for, or not possible.
        rings: The same by ring kernels; None if slides are not run so (a module, float64, no compiler).
        reasons: Why it does not pass; empty if it does.
        passed: Whether it does.
    """

    schema_version: Literal[2] = 2
    subject: str
    weights_sha256: str | None
    path: Literal["folded", "module"]
    dtype: Dtype
    budget: float = Field(gt=0)
    answer: Literal["map", "vector"]
    parameters: int
    gflop_per_mpx: float
    lattice_px: int
    sizes: list[SizeErrors]
    layers: list[LayerError]
    first_broken_layer: LayerError | None
    angles: list[AngleError]
    reach: ReceptiveField | None
    tiling: Tiling | None
    rings: RingKernelErrors | None
    reasons: list[str]
    passed: bool

    @model_validator(mode="after")
    def _verdict_follows(self) -> Self:
        if self.passed == bool(self.reasons):
            raise ValueError("passed must be true if, and only if, there are no reasons against it")
        return self

    @property
    def worst_orientation_error(self) -> float:
        """Largest error of the eight orientations, over all sizes the network takes."""
        return max(size.worst for size in self.sizes)
