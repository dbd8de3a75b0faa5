"""Open a slide and collect the facts that planning needs."""

import warnings
from pathlib import Path

from wsipipe.errors import MppError, SlideChangedError
from wsipipe.models.precision import best_precision
from wsipipe.pipeline.planning.facts import InspectedSlide
from wsipipe.pipeline.planning.facts import SlideFacts as SlideFacts
from wsipipe.pipeline.planning.stain_share import stain_share
from wsipipe.pipeline.planning.weight_choice import WeightChoice, WeightChooser
from wsipipe.stages.grid import CanvasGrid
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.collect import SlideInput
from wsipipe.tiling.readers.files import fingerprint
from wsipipe.tiling.slide import Slide, open_slide

MAX_UPSAMPLING = 1.5
"""Largest um per px of a slide over that of the workflow."""


def inspect_slide(
    slide: SlideInput,
    mpp: float,
    lattice: int,
    device: str,
    coarsest_mpp: float | None = None,
    chooser: WeightChooser | None = None,
    attempt: int = 0,
) -> InspectedSlide:
    """Open a slide and collect what planning needs.

    Args:
        slide: The slide.
        mpp: Um per px of the workflow.
        lattice: Unit of canvas sides, px.
        device: ``cpu`` or ``cuda`` for networks.
        coarsest_mpp: Largest um per px at which all networks of the workflow work; None without networks.
        chooser: Rule by which weights are chosen, which also decides the canvas; None for named weights.
        attempt: Number of earlier attempts.

    Raises:
        SlideError: The slide does not open, or its regions of interest are not valid.
        MppError: Its um per px is missing or implausible.
    """
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", UserWarning)
        facts, choice = _facts(slide, mpp, lattice, coarsest_mpp, chooser)
    texts = [str(each.message) for each in raised if issubclass(each.category, UserWarning)]
    return InspectedSlide(facts, best_precision(device), tuple(dict.fromkeys(texts)), choice)


def _facts(
    slide: SlideInput,
    mpp: float,
    lattice: int,
    coarsest_mpp: float | None,
    chooser: WeightChooser | None,
) -> tuple[SlideFacts, WeightChoice | None]:
    with open_slide(slide.path, slide.mpp) as opened:
        if opened.mpp > MAX_UPSAMPLING * mpp:
            raise MppError(
                f"{slide.path}: the workflow works at {mpp:g} um/px, but the slide's finest level has "
                f"{opened.mpp:.4g} um/px (from: {opened.mpp_source}), and wsipipe does not upsample by "
                f"more than a factor of {MAX_UPSAMPLING:g}. {_coarse_remedy(opened.mpp, coarsest_mpp)}"
            )
        choice = _chosen(opened, slide, chooser) if chooser else None
        if chooser and choice:
            candidate = chooser.candidate(choice.weights)
            mpp, lattice = candidate.mpp, candidate.lattice_px
        canvas = Canvas(opened, mpp, lattice)
        grid = CanvasGrid(canvas.shape, canvas.mpp, canvas.offset_px, canvas.step)
        if slide.regions_path:
            # It imports shapely, which only slides with regions need.
            from wsipipe.tiling.regions import read_regions

            read_regions(slide.regions_path, grid.extent_px0)
        facts = SlideFacts(
            fingerprint=opened.fingerprint(),
            vendor=opened.vendor,
            mpp=opened.mpp,
            mpp_source=opened.mpp_source,
            levels=tuple(level.shape for level in opened.levels),
            grid=grid,
            lattice_px=lattice,
            decoder=opened.decoder,
        )
        return facts, choice


def _chosen(opened: Slide, slide: SlideInput, chooser: WeightChooser) -> WeightChoice:
    """Choose the weights of an opened slide."""
    candidate, share = chooser.default, None
    if trained := candidate.card.training_range:
        canvas = Canvas(opened, candidate.mpp, candidate.lattice_px)
        share = stain_share(canvas, chooser.tissue, slide.mask_path, trained)
    return chooser.choose(opened.mpp, share)


def _coarse_remedy(slide_mpp: float, coarsest_mpp: float | None) -> str:
    """Return the remedy for a too coarse slide."""
    correct = "If that value is wrong, give the right one with --mpp"
    if coarsest_mpp is None:
        return f"{correct}; otherwise choose a coarser canvas: --set tile.mpp={slide_mpp:.4g}."
    if slide_mpp <= MAX_UPSAMPLING * coarsest_mpp:
        return f"{correct}; otherwise choose a coarser canvas: --set tile.mpp={coarsest_mpp:g}."
    return (
        f"{correct}. If it is right, the slide is too coarse for these weights, which need at most "
        f"{MAX_UPSAMPLING * coarsest_mpp:g} um/px: scan it finer or use other weights (wsipipe models lists "
        f"them). For tissue mask and tiles alone: wsipipe run tiling_only ... --set tile.mpp={slide_mpp:.4g}."
    )


def check_unchanged(path: Path, planned: str, attempt: int = 0) -> None:
    """Check that a slide has not changed since planning.

    Args:
        path: The slide.
        planned: Fingerprint of the slide when it was planned.
        attempt: Number of earlier attempts.

    Raises:
        SlideChangedError: The files have changed.
    """
    found = fingerprint(path)
    if found != planned:
        raise SlideChangedError(
            f"{path} changed during the run: its fingerprint was {planned[:12]}... and is now "
            f"{found[:12]}.... Nothing was published. Make sure that nothing writes to the slide, and run "
            "the same command again."
        )
