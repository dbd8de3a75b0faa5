"""Open a slide in a worker and collect what planning needs."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from wsipipe.errors import MppError, SlideChangedError
from wsipipe.models.precision import best_precision
from wsipipe.stages.grid import CanvasGrid
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.collect import SlideInput
from wsipipe.tiling.readers.files import fingerprint
from wsipipe.tiling.slide import open_slide


@dataclass(frozen=True)
class SlideFacts:
    """What opening a slide told.

    Attributes:
        fingerprint: Of the slide's content.
        vendor: Format.
        mpp: Um per px of level 0.
        mpp_source: Where that value comes from.
        levels: (height, width) of each level.
        grid: The canvas.
    """

    fingerprint: str
    vendor: str
    mpp: float
    mpp_source: str
    levels: tuple[tuple[int, int], ...]
    grid: CanvasGrid


MAX_UPSAMPLING = 1.5
"""A slide may be this much coarser than the workflow's mpp."""


@dataclass(frozen=True)
class InspectedSlide:
    """Result of opening a slide.

    Attributes:
        facts: What is in it.
        precision: Best precision of networks where they run.
        warnings: Texts of the warnings that opening it raised, each once.
    """

    facts: SlideFacts
    precision: str
    warnings: tuple[str, ...] = ()


def inspect_slide(
    slide: SlideInput,
    mpp: float,
    lattice: int,
    device: str,
    coarsest_mpp: float | None = None,
    attempt: int = 0,
) -> InspectedSlide:
    """Open a slide and collect what planning needs.

    Args:
        slide: Which one.
        mpp: The workflow's um per px.
        lattice: Canvas sides are multiples of this, px.
        device: ``cpu`` or ``cuda`` for networks.
        coarsest_mpp: Largest um per px at which the workflow's networks work; None without networks.
        attempt: How often it was tried before.

    Raises:
        SlideError: It does not open.
        MppError: Its um per px is missing or absurd.
    """
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", UserWarning)
        facts = _facts(slide, mpp, lattice, coarsest_mpp)
    texts = [str(each.message) for each in raised if issubclass(each.category, UserWarning)]
    return InspectedSlide(facts, best_precision(device), tuple(dict.fromkeys(texts)))


def _facts(slide: SlideInput, mpp: float, lattice: int, coarsest_mpp: float | None) -> SlideFacts:
    with open_slide(slide.path, slide.mpp) as opened:
        if opened.mpp > MAX_UPSAMPLING * mpp:
            raise MppError(
                f"{slide.path}: the workflow works at {mpp:g} um/px, but the slide's finest level has "
                f"{opened.mpp:.4g} um/px (from: {opened.mpp_source}), more than {MAX_UPSAMPLING:g} times as "
                f"coarse, and its pixels cannot be made finer. {_coarse_remedy(opened.mpp, coarsest_mpp)}"
            )
        canvas = Canvas(opened, mpp, lattice)
        return SlideFacts(
            fingerprint=opened.fingerprint(),
            vendor=opened.vendor,
            mpp=opened.mpp,
            mpp_source=opened.mpp_source,
            levels=tuple(level.shape for level in opened.levels),
            grid=CanvasGrid(canvas.shape, canvas.mpp, canvas.offset_px, canvas.step),
        )


def _coarse_remedy(slide_mpp: float, coarsest_mpp: float | None) -> str:
    """What helps for a slide that is too coarse for the workflow."""
    correct = "If that value is wrong, give the right one with --mpp"
    if coarsest_mpp is None:
        return f"{correct}; else choose a coarser canvas: --set tile.mpp={slide_mpp:.4g}."
    if slide_mpp <= MAX_UPSAMPLING * coarsest_mpp:
        return f"{correct}; else choose a coarser canvas: --set tile.mpp={coarsest_mpp:g}."
    return (
        f"{correct}. If it is right, the slide is too coarse for these weights, which need at most "
        f"{MAX_UPSAMPLING * coarsest_mpp:g} um/px: scan it finer or take other weights (wsipipe models lists "
        f"them). Tissue mask and tiles alone: wsipipe run tiling_only ... --set tile.mpp={slide_mpp:.4g}."
    )


def check_unchanged(path: Path, planned: str, attempt: int = 0) -> None:
    """Check that a slide's files are still those of the plan.

    Args:
        path: The slide.
        planned: Its fingerprint when it was planned.
        attempt: How often it was tried before.

    Raises:
        SlideChangedError: They are not.
    """
    found = fingerprint(path)
    if found != planned:
        raise SlideChangedError(
            f"{path} changed while it was worked on: its fingerprint was {planned[:12]}... and is "
            f"{found[:12]}... now. Nothing was published; let nobody write to the slide, and run the same "
            "command again."
        )
