"""Types of what is known of a slide, without the libraries that open it."""

from dataclasses import dataclass

from wsipipe.pipeline.planning.weight_choice import WeightChoice
from wsipipe.stages.grid import CanvasGrid


@dataclass(frozen=True)
class SlideFacts:
    """Facts about a slide.

    Attributes:
        fingerprint: Fingerprint of the slide's content.
        vendor: Vendor or format.
        mpp: Um per px of level 0.
        mpp_source: Source of that value.
        levels: Shape (height, width) of each level.
        grid: The canvas.
        lattice_px: Unit of the sides of the canvas, px.
        decoder: Decoder of the tiles, see :class:`wsipipe.tiling.slide.Slide`.
    """

    fingerprint: str
    vendor: str
    mpp: float
    mpp_source: str
    levels: tuple[tuple[int, int], ...]
    grid: CanvasGrid
    lattice_px: int = 1
    decoder: str = "library"


@dataclass(frozen=True)
class InspectedSlide:
    """Result of opening a slide.

    Attributes:
        facts: Facts about the slide.
        precision: Best precision of networks where they run.
        warnings: Texts of the warnings raised while it was opened, each once.
        choice: Weights that were chosen for it; None where the workflow names them.
    """

    facts: SlideFacts
    precision: str
    warnings: tuple[str, ...] = ()
    choice: WeightChoice | None = None
