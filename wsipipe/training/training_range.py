"""Ranges of the training data, to which slides are compared.

They are counted as on a slide and stored in the card.
"""

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
"""Share of the colour that may be below the range of hues, and above it."""
MARGIN_DEGREES = 15
LARGEST_SHARE = 0.05
"""Share of fields whose values may be beyond the ranges."""


def training_range(
    samples: Sequence[Field] | Sequence[Tile], mpp: float, stain: StainReference | None = None
) -> TrainingRange | None:
    """Compute ranges of colours and nuclei of the training samples.

    Args:
        samples: Training samples; the result is None if there are none.
        mpp: Resolution of the network in µm/px, at which colours are counted to normalise them to ``stain``.
        stain: Colours to which samples are normalised first.
    """
    if not samples:
        return None
    images = [_coarse(one, mpp, stain) for one in samples]
    # Brightness is measured on the scanned colours; only hues are counted in the network's stain.
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
    """Return a sample at about 2 µm/px, in the stain that the network sees."""
    image, nothing = one.image, np.zeros(one.image.shape[:2], np.int32)
    if stain:
        image = restained(image, lookup(colours(field_canvas(image, nothing, one.mpp, mpp, 1).image), stain))
    canvas = field_canvas(image, nothing, one.mpp, max(HUES_UM, one.mpp), 1)
    return canvas.image[canvas.inside.slices]


def _hues(images: Sequence[Rgb]) -> Range:
    """Return the range of degrees that holds nearly all colour.

    All images have the same weight.
    """
    total = np.zeros(360)
    for image in images:
        hues = hue_counts(image, white_of(channel_counts(image)))[:360]
        total += hues / max(1, int(hues.sum()))
    share = np.cumsum(total) / max(total.sum(), 1e-9)
    low, high = np.searchsorted(share, (RARE, 1 - RARE))
    return float(max(0, low - MARGIN_DEGREES)), float(min(359, high + MARGIN_DEGREES))


def _nuclei(field: Field) -> tuple[float, float]:
    """Return the number of nuclei per mm2 and their median area in um2."""
    px: npt.NDArray[np.int64] = np.bincount(field.labels.ravel())[1:]
    px = px[px > 0]
    return px.size / (field.labels.size * field.mpp**2 / 1e6), float(np.median(px)) * field.mpp**2


def _range(values: Sequence[float], digits: int) -> Range:
    low, high = np.quantile(values, (LARGEST_SHARE, 1 - LARGEST_SHARE))
    return round(float(low), digits), round(float(high), digits)
