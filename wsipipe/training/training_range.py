"""Training data -> the ranges of a card, to which slides are compared; counted as on a slide."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsipipe.models.cards.card import StainReference
from wsipipe.models.cards.training_range import Range, TrainingRange
from wsipipe.stages.hues import HUES_UM, channel_counts, hue_counts, white_of
from wsipipe.stages.stain import colours, lookup, restained
from wsipipe.training.evaluation.inference import field_canvas
from wsipipe.training.samples import Field, Rgb, Tile

RARE = 0.01
"""Share of the colour that may lie below the range of hues, and above it."""
MARGIN_DEGREES = 15
LARGEST_SHARE = 0.05
"""Of fields, whose numbers may lie beyond the ranges."""


def training_range(
    samples: Sequence[Field] | Sequence[Tile], mpp: float, stain: StainReference | None = None
) -> TrainingRange | None:
    """Ranges of fields or tiles; None of none.

    Args:
        samples: What is learnt from.
        mpp: Of the network, at which colours are counted that are brought to ``stain``.
        stain: Colours that samples are brought to first.
    """
    if not samples:
        return None
    images = [_coarse(one, mpp, stain) for one in samples]
    # As they are scanned: only hues are counted in the stain that the network sees.
    brightness = [float(np.median(one.image.sum(axis=2) // 3)) for one in samples]
    fields = [one for one in samples if isinstance(one, Field) and one.has_instances and one.labels.any()]
    counts = [_nuclei(field) for field in fields]
    return TrainingRange(
        hue_degrees=_hues(images),
        least_brightness=_range(brightness, 0)[0],
        nuclei_per_mm2=_range([density for density, _ in counts], 0) if counts else None,
        nucleus_area_um2=_range([area for _, area in counts], 1) if counts else None,
    )


def _coarse(one: Field | Tile, mpp: float, stain: StainReference | None) -> Rgb:
    """The sample at about 2 um/px, in the stain that the network will see it in."""
    image, nothing = one.image, np.zeros(one.image.shape[:2], np.int32)
    if stain:
        image = restained(image, lookup(colours(field_canvas(image, nothing, one.mpp, mpp, 1).image), stain))
    on = field_canvas(image, nothing, one.mpp, max(HUES_UM, one.mpp), 1)
    return on.image[on.inside.slices]


def _hues(images: Sequence[Rgb]) -> Range:
    """Degrees that hold nearly all colour, every image as important as another."""
    total = np.zeros(360)
    for image in images:
        hues = hue_counts(image, white_of(channel_counts(image)))[:360]
        total += hues / max(1, int(hues.sum()))
    share = np.cumsum(total) / max(total.sum(), 1e-9)
    low, high = np.searchsorted(share, (RARE, 1 - RARE))
    return float(max(0, low - MARGIN_DEGREES)), float(min(359, high + MARGIN_DEGREES))


def _nuclei(field: Field) -> tuple[float, float]:
    """Nuclei a mm2, and their median area in um2."""
    px: npt.NDArray[np.int64] = np.bincount(field.labels.ravel())[1:]
    px = px[px > 0]
    return px.size / (field.labels.size * field.mpp**2 / 1e6), float(np.median(px)) * field.mpp**2


def _range(values: Sequence[float], digits: int) -> Range:
    low, high = np.quantile(values, (LARGEST_SHARE, 1 - LARGEST_SHARE))
    return round(float(low), digits), round(float(high), digits)
