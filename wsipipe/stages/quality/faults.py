"""Find all faults of a slide in its overview and scores of focus."""

import numpy as np

from wsipipe.geometry import Array
from wsipipe.stages.quality.bubbles import find_bubbles
from wsipipe.stages.quality.folds import find_blur, find_folds
from wsipipe.stages.quality.ink import INKS, find_inks
from wsipipe.stages.quality.measures import focus_measures, quality_measures
from wsipipe.stages.quality.params import QualityParams
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.store.tables import Table
from wsipipe.tiling.glass import glass_colour
from wsipipe.tiling.morphology import dilated
from wsipipe.tiling.optical_density import density_of

_FRINGE_UM = 16.0
"""Width of the darker fringe around a bubble."""


def find_faults(
    rgb: Array, labels: Array, scores: Array, mpp: float, params: QualityParams
) -> tuple[dict[str, Array], Table]:
    """Find ink, folds, blur and bubbles, and measure the slide.

    Args:
        rgb: Overview, (H, W, 3) uint8, at about 8 um/px.
        labels: 1 in tissue, 0 on glass, 255 where nothing was computed; (H, W) uint8.
        scores: Scores of focus at two scales, (2, H, W) uint8.
        mpp: Um per px.
        params: Thresholds.

    Returns:
        Masks (H, W) bool of each ink, ``pen``, ``fold``, ``blur``, ``bubble``, ``tissue`` and ``good``
        tissue; and the numbers by name, see :func:`quality_measures`.
    """
    scanned, tissue = labels != NOT_COMPUTED, labels == 1
    fine, coarse = scores
    if not scanned.any():
        none = np.zeros(labels.shape, np.bool_)
        return dict.fromkeys((*INKS, "pen", "fold", "blur", "bubble", "tissue", "good"), none), {}
    glass = glass_colour(rgb, scanned)
    density = density_of(rgb, scanned, glass)
    bubble = find_bubbles(density, scanned, mpp, params)
    # Outlines of bubbles are as dark and neutral as black ink, but thinner.
    masks = find_inks(density, scanned & ~dilated(bubble, _FRINGE_UM / mpp), mpp, params)
    masks["bubble"] = bubble
    masks["pen"] = np.any([masks[name] for name in INKS], axis=0)
    masks["tissue"] = tissue
    left = tissue & ~masks["pen"] & ~masks["bubble"]
    masks["fold"] = find_folds(density, left, mpp, params)
    masks["blur"] = find_blur(fine, coarse, left & ~masks["fold"], mpp, params)
    masks["good"] = left & ~masks["fold"] & ~masks["blur"]
    measures = quality_measures(masks, density, glass, mpp)
    return masks, measures | focus_measures(fine, coarse, tissue & ~masks["pen"])
