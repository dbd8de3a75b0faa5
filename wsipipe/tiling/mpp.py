"""Um per px of a slide, from what the file says of itself, or an error that names ``--mpp``."""

import math
import warnings
from dataclasses import dataclass

from wsipipe.errors import MppError

SMALLEST_MPP = 0.05
LARGEST_MPP = 20.0
LARGEST_ANISOTROPY = 0.05
_NOT_A_MEASUREMENT_UM = tuple(25400.0 / dpi for dpi in (1, 72, 96, 150, 300))
_REMEDY = "give the slide's own um per px with --mpp, or in the manifest's column spacing_at_level_0"


@dataclass(frozen=True, kw_only=True)
class MppClues:
    """What a file says of its scale at level 0, unjudged; None where it says nothing.

    Attributes:
        vendor: (y, x) um per px from the format's own metadata.
        tiff: (y, x) um per px from the TIFF resolution tags.
        tiff_tags: These tags in words, for messages, for example "2 px per inch".
        objective: Magnification of the objective, for example 20.
    """

    vendor: tuple[float, float] | None = None
    tiff: tuple[float, float] | None = None
    tiff_tags: str = ""
    objective: float | None = None


def resolve_mpp(clues: MppClues, override: float | None, name: str = "the slide") -> tuple[float, str]:
    """Um per px at level 0 (0.05 to 20), and where it came from.

    Args:
        clues: What the file says.
        override: Um per px from ``--mpp`` or the manifest; wins over everything.
        name: The slide, for messages.

    Returns:
        (mpp, source), source one of "option", "vendor", "tiff", "objective".

    Raises:
        MppError: No value, or one that is not above 0, outside 0.05 to 20 um per px, or whose
            y and x differ by more than 5 %; names the option that mends it.
    """
    if override is not None:
        return _checked((override, override), "the given mpp", name), "option"
    if clues.vendor is not None:
        return _checked(clues.vendor, "the file's own metadata", name), "vendor"
    tags = f" of {clues.tiff_tags}" if clues.tiff_tags else ""
    if clues.tiff is not None and not _is_placeholder(clues.tiff):
        return _checked(clues.tiff, f"the TIFF resolution{tags}", name), "tiff"
    if clues.objective is not None:
        return _from_objective(clues.objective, name), "objective"
    raise MppError(
        f"{name}: um per px is needed, but the file states none (no vendor value, "
        f"{f'a TIFF resolution{tags}, which is no measurement' if tags else 'no TIFF resolution'}, "
        f"no objective power); {_REMEDY}."
    )


def mpp_from_resolution(y: float, x: float, unit: int) -> tuple[float, float] | None:
    """(y, x) um per px from px per unit; None where the tags state no length.

    Args:
        y: YResolution, px per unit.
        x: XResolution, px per unit.
        unit: ResolutionUnit: 1 none, 2 inch, 3 centimetre.

    Source: TIFF 6.0, tags 282, 283, 296.
    """
    unit_um = {2: 25400.0, 3: 10000.0}.get(unit)
    if unit_um is None or not (y > 0 and x > 0):
        return None
    return unit_um / y, unit_um / x


def _is_placeholder(mpp: tuple[float, float]) -> bool:
    """Writers that know no scale put 72 or 96 dpi, or 1; these are no measurements."""
    return all(any(abs(v - dull) <= 0.01 * dull for dull in _NOT_A_MEASUREMENT_UM) for v in mpp)


def _from_objective(power: float, name: str) -> float:
    mpp = 10.0 / power if power > 0 else math.nan
    checked = _checked((mpp, mpp), f"the objective power {power:g}", name)
    warnings.warn(
        f"{name}: um per px guessed as {checked:g} from the objective power {power:g}; {_REMEDY}.",
        UserWarning,
        stacklevel=4,
    )
    return checked


def _checked(mpp: tuple[float, float], source: str, name: str) -> float:
    for value in mpp:
        if not SMALLEST_MPP <= value <= LARGEST_MPP:  # false for NaN too
            raise MppError(
                f"{name}: um per px must lie between {SMALLEST_MPP} and {LARGEST_MPP:g}, "
                f"but {source} says {value:g}; {_REMEDY}."
            )
    mean = (mpp[0] + mpp[1]) / 2
    if abs(mpp[0] - mpp[1]) > LARGEST_ANISOTROPY * mean:
        raise MppError(
            f"{name}: pixels must be square within 5 %, but {source} says {mpp[0]:g} (y) and {mpp[1]:g} (x) "
            f"um per px; {_REMEDY}."
        )
    return mean
