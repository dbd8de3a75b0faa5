"""Determine the micrometres per px of a slide."""

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
    """Unchecked statements of a file about its scale at level 0.

    Attributes:
        vendor: Micrometres per px (y, x) from metadata of the format; None if not stated.
        tiff: Micrometres per px (y, x) from the TIFF resolution tags; None if not stated.
        tiff_tags: These tags as text for messages, for example "2 px per inch".
        objective: Magnification of the objective, for example 20; None if not stated.
    """

    vendor: tuple[float, float] | None = None
    tiff: tuple[float, float] | None = None
    tiff_tags: str = ""
    objective: float | None = None


def resolve_mpp(clues: MppClues, override: float | None, name: str = "the slide") -> tuple[float, str]:
    """Determine the micrometres per px at level 0 and their source.

    Args:
        clues: Statements of the file.
        override: Micrometres per px from ``--mpp`` or the manifest; takes precedence.
        name: Name of the slide for messages.

    Returns:
        (mpp, source); mpp is 0.05 to 20, source is "option", "vendor", "tiff" or "objective".

    Raises:
        MppError: There is no value, it is outside 0.05 to 20, or y and x differ by more than 5 %.
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
    """Convert TIFF resolution tags to micrometres per px.

    Args:
        y: YResolution in px per unit.
        x: XResolution in px per unit.
        unit: ResolutionUnit: 1 none, 2 inch, 3 centimetre.

    Returns:
        (y, x); None if the tags state no length.

    Source: TIFF 6.0, tags 282, 283, 296.
    """
    unit_um = {2: 25400.0, 3: 10000.0}.get(unit)
    if unit_um is None or not (y > 0 and x > 0):
        return None
    return unit_um / y, unit_um / x


def _is_placeholder(mpp: tuple[float, float]) -> bool:
    """Return whether a resolution is a default value.

    Writers without a scale state 1, 72 or 96 dpi, for example.
    """
    return all(any(abs(v - default) <= 0.01 * default for default in _NOT_A_MEASUREMENT_UM) for v in mpp)


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
