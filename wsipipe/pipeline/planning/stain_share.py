"""Compare the stain of a slide with training data before it is planned."""

from pathlib import Path

from wsipipe.models.cards.training_range import TrainingRange
from wsipipe.stages.grid import CanvasGrid, tissue_downsample
from wsipipe.stages.hues import FEWEST_DENSE_UM2, channel_counts, hue_counts, share_within, white_of
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.morphology import Mask
from wsipipe.tiling.readers.base import Pixels
from wsipipe.tiling.tissue_params import TissueParams


def stain_share(
    canvas: Canvas, params: TissueParams, mask_path: Path | None, trained: TrainingRange
) -> float | None:
    """Measure how much of a slide's colour has hues of training data.

    It is the measure of the warning UNLIKE_STAIN, on the overview in which tissue is found (about 8 um/px)
    in place of 2 um/px. Colours are counted in whole pixels, so the share is the same in every orientation.

    Args:
        canvas: The slide on the grid of a workflow.
        params: Parameters of tissue detection.
        mask_path: Tissue mask that came with the slide; None to find the tissue.
        trained: Ranges of the training data.

    Returns:
        The share, 0 to 1; None where there is too little dense tissue to judge.

    Raises:
        SlideError: A tile does not decode, or the mask is not readable.
    """
    downsample = tissue_downsample(canvas.mpp)
    pixels, scanned = canvas.read_coarse(downsample)
    tissue = _tissue(canvas, pixels, scanned, params, mask_path)
    hues = hue_counts(pixels, white_of(channel_counts(pixels, tissue)), tissue)
    if hues[360] * (canvas.mpp * downsample) ** 2 < FEWEST_DENSE_UM2:
        return None
    return share_within(hues, *trained.hue_degrees)


def _tissue(
    canvas: Canvas, pixels: Pixels, scanned: Mask, params: TissueParams, mask_path: Path | None
) -> Mask:
    """Return the tissue of an overview, as the stage tissue finds it."""
    # Both import scipy, which only slides whose weights are chosen need here.
    from wsipipe.tiling.given_mask import read_given_mask
    from wsipipe.tiling.tissue import find_tissue

    downsample = tissue_downsample(canvas.mpp)
    if mask_path is None:
        return find_tissue(pixels, scanned, canvas.mpp * downsample, params)
    grid = CanvasGrid(canvas.shape, canvas.mpp, canvas.offset_px, canvas.step)
    return read_given_mask(mask_path, grid.extent_px0, *grid.centres_px0(downsample)) & scanned
