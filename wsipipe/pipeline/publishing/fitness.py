"""Compare a slide with its networks' training data.

Nothing here changes a result. A slide outside the training ranges is finished with a warning that names the
measured value, the range in the training data, and what to try.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr

from wsipipe.common.block_mean import block_mean
from wsipipe.errors import MppError
from wsipipe.geometry import Array, Region
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.shipped import ADAPTING_NUCLEI
from wsipipe.models.cards.training_range import Range, TrainingRange
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.reporting.outcome import SlideWarning
from wsipipe.stages.hues import (
    FEWEST_DENSE_UM2,
    HUES_UM,
    LEAST_HUE_SHARE,
    channel_counts,
    hue_counts,
    share_within,
    white_of,
)
from wsipipe.stages.nuclei.number import NUMBERED
from wsipipe.stages.nuclei.relabel import NUCLEI
from wsipipe.stages.stage import Read, upsampled
from wsipipe.stages.stain import STAIN, Lookup, restained
from wsipipe.stages.tile import image_name
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.tables import load_table
from wsipipe.tiling.slide import open_slide

Measures = dict[str, float]
_BAND_PX = 512
FEWEST_DENSE_PX = round(FEWEST_DENSE_UM2 / HUES_UM**2)
"""Fewest dense pixels whose colours are judged."""
FEWEST_EXPECTED, FEWEST_NUCLEI = 50, 20
"""Fewest nuclei expected before their number is judged, and found before their size is judged."""
DENSITY_FACTOR, AREA_FACTOR, BRIGHTNESS_FACTOR, MPP_FACTOR = 4.0, 2.0, 2.0, 1.5
"""Factors by which a slide may exceed the ranges of the training data."""


def measure_fit(plan: Plan, inputs: ShardInputs, tables: Path) -> Measures:
    """Measure what the cards of a finished slide give ranges for.

    Args:
        plan: Plan of the slide.
        inputs: Finished arrays of the slide.
        tables: Folder of the stages' tables.

    Returns:
        Measures by name: ``brightness`` (median, 0 to 255), ``segment_hue_share`` and ``classify_hue_share``
        (share of the colour in the hues of the training data), ``nuclei_per_mm2``, ``nucleus_area_um2``
        (median), ``tissue_mm2``, and ``file_mpp`` where the user gave another. Those that cannot be judged
        are left out.
    """
    measures = _file_mpp(plan)
    cards = {stage: card for stage, card in plan.cards.items() if card.training_range}
    if not cards:
        return measures
    measures["brightness"] = _brightness(plan, inputs)
    adapted = {stage: card.stain_reference is not None for stage, card in cards.items()}
    hues = {adapts: _hues(plan, inputs, tables, adapts) for adapts in set(adapted.values())}
    for stage, card in cards.items():
        found = hues[adapted[stage]]
        if card.training_range and found[360] >= FEWEST_DENSE_PX:
            measures[f"{stage}_hue_share"] = share_within(found, *card.training_range.hue_degrees)
    if any(stage.nuclei_rows for stage in plan.stages):
        measures |= _nuclei(plan, inputs, load_table(tables / f"{NUMBERED}.npz"))
    return measures


def fit_warnings(plan: Plan, measures: Measures) -> list[SlideWarning]:
    """Return warnings of measures outside the ranges of the cards.

    A dark slide is not judged further.
    """
    warnings = list(_other_mpp(plan, measures))
    for stage, card in plan.cards.items():
        if card.training_range is None:
            continue
        dark = _dark(card, card.training_range, measures)
        if dark:
            return [*_other_mpp(plan, measures), dark]
        unlike = list(_unlike_stain(stage, card, measures))
        warnings += unlike
        warnings += _unlike_nuclei(plan, card, card.training_range, measures, bool(unlike))
    return warnings


def _file_mpp(plan: Plan) -> Measures:
    """Return the um per px stored in the slide's file, where the user gave a value."""
    if plan.slide.mpp is None:
        return {}
    try:
        with open_slide(plan.slide.path) as slide:
            return {"file_mpp": slide.mpp}
    except MppError:
        return {}


def _other_mpp(plan: Plan, measures: Measures) -> Iterator[SlideWarning]:
    stored, given = measures.get("file_mpp", plan.facts.mpp), plan.facts.mpp
    if 1 / MPP_FACTOR < given / stored < MPP_FACTOR:
        return
    yield SlideWarning(
        "OTHER_MPP",
        f"{given:.4g} um/px was given for this slide, but its file has {stored:.4g} um/px. If the file is "
        "right, sizes and network results are wrong: run again without --mpp (or the manifest's "
        "spacing_at_level_0).",
    )


def _brightness(plan: Plan, inputs: ShardInputs) -> float:
    """Return the median brightness (mean of RGB) over computed tissue and glass."""
    tissue, downsample = inputs.array(TISSUE), plan.downsample(TISSUE)
    counts = np.zeros(256, np.int64)
    for band in Region(0, 0, *tissue.shape).blocks(_BAND_PX):
        pixels = inputs.canvas.read_coarse(downsample, band)[0]
        mean = pixels.sum(axis=2, dtype=np.uint32)[_values(tissue, band) <= 1] // 3
        counts += np.bincount(mean, minlength=256)
    return float(np.searchsorted(np.cumsum(counts), counts.sum() / 2))


def _hues(plan: Plan, inputs: ShardInputs, tables: Path, adapts: bool) -> Array:
    """Return the amount of colour by hue over the tissue, see :func:`hue_counts`."""
    lookup = load_table(tables / f"{STAIN}.npz")["lookup"] if adapts else None
    channels, hues = np.zeros((3, 256), np.int64), np.zeros(361, np.int64)
    for pixels, counted in _tissue_pixels(plan, inputs, lookup):
        channels += channel_counts(pixels, counted)
    white = white_of(channels)
    for pixels, counted in _tissue_pixels(plan, inputs, lookup):
        hues += hue_counts(pixels, white, counted)
    return hues


def _tissue_pixels(plan: Plan, inputs: ShardInputs, lookup: Lookup | None) -> Iterator[tuple[Array, Array]]:
    """Yield RGB at about 2 um/px and the tissue mask of each block with tissue."""
    grid, tissue = plan.facts.grid, inputs.array(TISSUE)
    wanted = max(0, round(math.log2(HUES_UM / grid.mpp)))
    unit = plan.downsample(TISSUE) >> wanted
    stored = min(wanted, plan.levels - 1)
    read = Read(image_name(stored), 1 << stored, outside=255)
    for band in Region(0, 0, *tissue.shape).blocks(_BAND_PX):
        in_tissue = _values(tissue, band) == 1
        if not in_tissue.any():
            continue
        pixels = inputs.read(read, band.scaled(plan.downsample(TISSUE), 1 << stored)).pixels
        for _ in range(wanted - stored):
            pixels = block_mean(pixels)
        yield (pixels if lookup is None else restained(pixels, lookup)), upsampled(in_tissue, unit)


def _nuclei(plan: Plan, inputs: ShardInputs, nuclei: dict[str, Array]) -> Measures:
    tissue, mpp = inputs.array(TISSUE), plan.facts.grid.mpp
    bands = Region(0, 0, *tissue.shape).blocks(_BAND_PX)
    px = sum(int((_values(tissue, band) == 1).sum()) for band in bands)
    tissue_mm2 = px * (mpp * plan.downsample(TISSUE) / 1000) ** 2
    found = {"tissue_mm2": tissue_mm2}
    if tissue_mm2 > 0:
        found["nuclei_per_mm2"] = nuclei["id"].size / tissue_mm2
    if nuclei["id"].size >= FEWEST_NUCLEI:
        found["nucleus_area_um2"] = float(np.median(nuclei["area"])) * (mpp * plan.downsample(NUCLEI)) ** 2
    return found


def _values(array: zarr.Array, region: Region) -> Array:
    return np.asarray(array[region.slices])


def _dark(card: ModelCard, trained: TrainingRange, measures: Measures) -> SlideWarning | None:
    least = trained.least_brightness / BRIGHTNESS_FACTOR
    if measures["brightness"] >= least:
        return None
    return SlideWarning(
        "DARK_BACKGROUND",
        f"half of the slide is darker than {measures['brightness']:.0f} of 255, as in fluorescence, but "
        f"{card.name} was trained on {card.stain} with light backgrounds ({trained.least_brightness:.0f} or "
        "more), so its results are meaningless here. Store the image alone (workflow tiling_only), or use "
        "weights that were trained on such slides.",
    )


def _unlike_stain(stage: str, card: ModelCard, measures: Measures) -> Iterator[SlideWarning]:
    share = measures.get(f"{stage}_hue_share", 1.0)
    if card.training_range is None or share >= LEAST_HUE_SHARE:
        return
    low, high = card.training_range.hue_degrees
    adapted = ", even after the colours were adapted" if card.stain_reference else ""
    yield SlideWarning(
        "UNLIKE_STAIN",
        f"only {share:.0%} of the tissue's colour has hues that {card.name} was trained on ({card.stain}, "
        f"{low:.0f} to {high:.0f} degrees){adapted}, as on slides with another stain. "
        + _stain_remedy(stage, card),
    )


def _stain_remedy(stage: str, card: ModelCard) -> str:
    if card.activation == "softmax":
        return (
            f"Do not trust the classes: run a workflow without {stage}, or use weights that were trained on "
            "this stain."
        )
    if card.stain_reference:
        return "Use weights that were trained on this stain (wsipipe train)."
    return (
        f"Try weights that adapt the colours: --set {stage}.weights={ADAPTING_NUCLEI}, and "
        "check overview.png."
    )


def _unlike_nuclei(
    plan: Plan, card: ModelCard, trained: TrainingRange, measures: Measures, unlike_stain: bool
) -> Iterator[SlideWarning]:
    cause = "The stain is the likely cause."
    if not unlike_stain:
        cause = (
            f"Is the slide's um/px, {plan.facts.mpp:.4g} (from: {plan.facts.mpp_source}), right? If not, "
            "give it with --mpp (about 0.25 for an objective of 40x, 0.5 for 20x). Otherwise check "
            "overview.png: the weights may not be trained for this organ or stain."
        )
    density, area = measures.get("nuclei_per_mm2"), measures.get("nucleus_area_um2")
    if trained.nuclei_per_mm2 and density is not None:
        low, high = _widened(trained.nuclei_per_mm2, DENSITY_FACTOR)
        # Few nuclei may be found, but enough must be expected to judge their number.
        judged = max(low, density) * measures["tissue_mm2"] >= FEWEST_EXPECTED
        if judged and not low <= density <= high:
            yield SlideWarning(
                "FEW_NUCLEI" if density < low else "MANY_NUCLEI",
                f"{density:,.0f} nuclei per mm2 of tissue were found; the training data of {card.name} "
                f"have {_range_text(trained.nuclei_per_mm2)}. {cause}",
            )
    if trained.nucleus_area_um2 and area is not None:
        low, high = _widened(trained.nucleus_area_um2, AREA_FACTOR)
        if not low <= area <= high:
            yield SlideWarning(
                "UNLIKE_SIZE",
                f"the median nucleus has {area:.1f} um2; in the training data of {card.name} it has "
                f"{_range_text(trained.nucleus_area_um2)}. {cause}",
            )


def _range_text(trained: Range) -> str:
    return f"{trained[0]:,.0f} to {trained[1]:,.0f}"


def _widened(trained: Range, factor: float) -> Range:
    return trained[0] / factor, trained[1] * factor
