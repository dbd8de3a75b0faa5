"""Fields of a certificate, as strict JSON; read without torch."""

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
    """Errors of one image size in the eight orientations.

    Attributes:
        height_px: Image height.
        width_px: Image width.
        on_lattice: True if both are multiples of the network's lattice.
        refused: Message of the network if it did not take the size.
        errors: Largest difference over the largest value of the upright output, by orientation.
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
    """Worst error of one leaf module's output.

    It is that of a quarter turn and a mirror.

    Attributes:
        name: Dotted name in the network; ``#2`` is its second call.
        kind: Class of the module.
        error: Largest difference over the largest value of the upright output.
    """

    name: str
    kind: str
    error: Error


class AngleError(CertificateRecord):
    """Error of one rotation of the synthetic image.

    The image is rotated about its centre and compared on the disc that every angle shows.

    Attributes:
        degrees: Angle, counter-clockwise.
        error: Root mean square difference over the spread of the upright output.
        agreement_drop: Share of px (or of outputs) whose decision differs from the upright one.
    """

    degrees: float
    error: Error
    agreement_drop: Error


class ReceptiveField(CertificateRecord):
    """How far outside its own lattice cell an output depends on px.

    Attributes:
        gradient_px: Distance of the farthest px with a gradient, for ONNX of the farthest whose change
            changes an output; None if it exceeds the image.
        formula_px: Halo that the network declares (``halo_px``); None if it declares none.
        image_px: Length of the image on which it was measured.
        influence: Largest gradient at 1, 2, ... px outside the cell, over the largest inside.
    """

    gradient_px: int | None
    formula_px: int | None
    image_px: int
    influence: list[Error]


class Tiling(CertificateRecord):
    """Error of assembled patches of core and halo against the whole image.

    Attributes:
        halo_px: Context on each side of a patch.
        core_px: Side of the part of a patch that is kept.
        error: Largest difference over the largest value of the output of the whole image.
        error_without_halo: The same with halo 0.
    """

    halo_px: int
    core_px: int
    error: Error
    error_without_halo: Error


class RingKernelErrors(CertificateRecord):
    """Errors of the predictor with the ring kernels, as on slides.

    Probabilities must be bitwise identical.

    Attributes:
        sizes: Errors in the eight orientations, by image size.
        tiling: Error of tiling; None if it was not measured.
    """

    sizes: list[SizeErrors]
    tiling: Tiling | None

    @property
    def worst(self) -> float:
        """Largest error; 0 means bitwise identical."""
        return max([size.worst for size in self.sizes] + ([self.tiling.error] if self.tiling else []))


class Certificate(CertificateRecord):
    """Measured errors of one network, and the verdict.

    Attributes:
        schema_version: Version of this format.
        subject: Name of the weights, or of what was imported.
        weights_sha256: SHA-256 of the weight file, if there is one.
        path: How it ran except for ``rings``: ``folded`` into plain convolutions, as the ``module`` given, or
            by ``onnx`` runtime, as on slides.
        dtype: Numerical precision.
        budget: Largest error allowed.
        answer: A ``map`` of scores, or one ``vector`` per image.
        parameters: Number of trained parameters; None if it is not known.
        gflop_per_mpx: 1e9 multiplications and additions for each 1e6 px of image; None if it is not known.
        lattice_px: Divisor of the extents of patches.
        sizes: Errors in the eight orientations, by image size.
        layers: Error of each leaf module in execution order; empty for ONNX.
        first_broken_layer: First layer over budget; what breaks may also lie just before it.
        angles: Errors at angles between the orientations.
        reach: Receptive field; None if the output is a vector.
        tiling: Error of tiling; None if it was not measured, or cannot be.
        rings: Errors with the ring kernels; None if they are not used (a module, float64, no compiler).
        reasons: Reasons for a failure; empty if it passes.
        passed: Verdict.
    """

    schema_version: Literal[2] = 2
    subject: str
    weights_sha256: str | None
    path: Literal["folded", "module", "onnx"]
    dtype: Dtype
    budget: float = Field(gt=0)
    answer: Literal["map", "vector"]
    parameters: int | None
    gflop_per_mpx: float | None
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
        """Largest error of the eight orientations, over all accepted sizes."""
        return max(size.worst for size in self.sizes)
