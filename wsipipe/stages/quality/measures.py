"""Numbers of the quality of a slide, from whole-number counts."""

import numpy as np

from wsipipe.geometry import Array
from wsipipe.stages.quality.focus import STEPS_PER_OCTAVE, ratio_of
from wsipipe.stages.quality.ink import INKS
from wsipipe.store.tables import Table
from wsipipe.tiling.optical_density import OpticalDensity

Masks = dict[str, Array]
_OD_QUANTILES = (0.1, 0.5, 0.9)


def quality_measures(masks: Masks, density: OpticalDensity, glass: tuple[int, ...], mpp: float) -> Table:
    """Return the numbers of a slide.

    Args:
        masks: ``tissue``, ``good`` tissue, ``fold``, ``blur``, ``bubble`` and one for each ink, (H, W) bool.
        density: Optical densities of the overview, thousandths.
        glass: Grey levels of bare glass.
        mpp: Um per px of the masks.

    Returns:
        float64 by name; areas in mm2, shares from 0 to 1 of the tissue. What cannot be measured is left out.
    """
    mm2 = (mpp / 1000) ** 2
    tissue, good = masks["tissue"], masks["good"]
    pen = np.any([masks[name] for name in INKS], axis=0)
    number = int(tissue.sum())
    found = {
        f"glass_{name}": float(level) for name, level in zip(("red", "green", "blue"), glass, strict=True)
    }
    found |= {f"ink_{name}_mm2": float(masks[name].sum() * mm2) for name in INKS}
    found["bubble_mm2"] = float(masks["bubble"].sum() * mm2)
    found |= {"tissue_mm2": number * mm2, "good_tissue_mm2": float(good.sum() * mm2)}
    if number:
        shares = {"pen": pen & tissue, "fold": masks["fold"], "blur": masks["blur"]}
        shares["bubble"] = masks["bubble"] & tissue
        found |= {f"{name}_share": float(mask.sum() / number) for name, mask in shares.items()}
    if good.any():
        found |= _stain(density, good)
    return {name: np.float64(value) for name, value in found.items()}


def focus_measures(fine: Array, coarse: Array, counted: Array) -> Table:
    """Return medians of the focus.

    Args:
        fine: Scores at 0.5 um, (H, W) uint8.
        coarse: Scores at 2 um, (H, W) uint8.
        counted: Cells that count, (H, W) bool.

    Returns:
        ``focus_fine`` and ``focus_coarse`` (energy per variance), and ``blur_fall``, see the parameters;
        empty where nothing was measured.
    """
    measured = counted & (fine > 0) & (coarse > 0)
    if not measured.any():
        return {}
    fall = coarse[measured].astype(np.int64) - fine[measured]
    scores = {"focus_fine": fine[measured], "focus_coarse": coarse[measured]}
    found = {name: ratio_of(_quantile(each, 0.5)) for name, each in scores.items()}
    found["blur_fall"] = float(2.0 ** (_quantile(fall, 0.5) / STEPS_PER_OCTAVE))
    return {name: np.float64(value) for name, value in found.items()}


def _stain(density: OpticalDensity, good: Array) -> dict[str, float]:
    total = density.total[good]
    found = {f"od_p{100 * share:.0f}": _quantile(total, share) / 1000 for share in _OD_QUANTILES}
    for name in ("red", "green", "blue"):
        found[f"od_{name}"] = float(getattr(density, name)[good].sum(dtype=np.int64) / total.size / 1000)
    return found


def _quantile(values: Array, share: float) -> float:
    """Return the value at a share of the sorted values."""
    return float(np.quantile(values, share, method="lower"))
