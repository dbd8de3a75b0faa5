"""Find pen marks by colour in an overview of about 8 um per px.

Dyes of tissue absorb green most (DAB blue). Blue and green ink absorb red most, black ink all channels
alike, and red ink hardly any red while it has none of the texture of blood. Each ink has a core of pixels
that no dye gives, from which it grows over paler pixels of its colour. The classes are those of
HistoQC (Janowczyk et al. 2019, doi:10.1200/CCI.18.00157). Values are whole thousandths of optical density and
all operations use sets of pixels, so the mask commutes with the eight orientations.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from wsipipe.geometry import Array
from wsipipe.stages.quality.params import QualityParams
from wsipipe.tiling.morphology import closed, dilated, without_specks
from wsipipe.tiling.optical_density import OpticalDensity

INKS = ("blue", "green", "red", "black")
_THICK, _GAP_UM = 1500, 12.0


class _Ink(NamedTuple):
    """Pixels of one colour of ink, (H, W) bool.

    Attributes:
        core: Pixels that no dye gives.
        pale: Pixels that belong to the ink where they touch its core.
    """

    core: Array
    pale: Array


def find_inks(density: OpticalDensity, scanned: Array, mpp: float, params: QualityParams) -> dict[str, Array]:
    """Return the mask of each colour of ink.

    Args:
        density: Optical densities of the overview, thousandths.
        scanned: Scanned pixels, (H, W) bool.
        mpp: Um per px of the overview.
        params: Thresholds.

    Returns:
        Masks (H, W) bool by colour; they may overlap.
    """
    return {name: _grown(ink, scanned, mpp, params) for name, ink in _inks(density, params).items()}


def _inks(density: OpticalDensity, params: QualityParams) -> dict[str, _Ink]:
    red, green, blue, total, rough = density
    dense = total >= 1000 * params.ink_od
    faint = 3 * total >= 1000 * params.ink_od
    lowest = np.minimum(np.minimum(red, green), blue)
    spread = np.maximum(np.maximum(red, green), blue) - lowest
    # Thick ink hides most of the texture of the tissue below it.
    flat = (100 * rough <= 5 * total) | ((total >= _THICK) & (100 * rough <= 10 * total))
    return {
        # Haematoxylin alone absorbs at most 1.1 times as much red as green; thin ink lies over eosin.
        "blue": _Ink(
            dense & (4 * red >= 5 * green) & (green >= blue) & (2 * spread >= red),
            faint & (4 * red >= 3 * green) & (green >= blue),
        ),
        "green": _Ink(
            dense & (5 * red >= 6 * green) & (5 * blue >= 6 * green), faint & (red >= green) & (blue >= green)
        ),
        # Blood is as red, but rough at 8 um.
        "red": _Ink(
            dense & (5 * red <= green) & (100 * blue >= 72 * green) & flat,
            faint & (4 * red <= green) & (100 * blue >= 65 * green),
        ),
        "black": _Ink(
            (total >= 1000 * params.black_od) & (8 * spread <= total),
            (2 * total >= 1000 * params.black_od) & (6 * spread <= total),
        ),
    }


def _grown(ink: _Ink, scanned: Array, mpp: float, params: QualityParams) -> Array:
    """Return the core of an ink, without specks, and the pale pixels connected with it."""
    core = without_specks(ink.core & scanned, params.min_ink_um2 / mpp**2)
    if not core.any():
        return core
    near = dilated(core, params.ink_reach_um / mpp)
    whole = ndimage.binary_propagation(
        core, np.ones((3, 3), np.bool_), mask=(ink.pale & scanned & near) | core
    )
    # Dark nuclei under ink have another hue.
    whole = closed(whole, _GAP_UM / mpp)
    return dilated(whole, params.margin_um / mpp) & scanned
