"""Warn of slides whose quality makes results doubtful."""

from collections.abc import Collection, Iterator

from wsipipe.pipeline.reporting.outcome import SlideWarning

PEN_SHARE, FOLD_SHARE, BLUR_SHARE, BUBBLE_SHARE = 0.01, 0.05, 0.1, 0.02
"""Shares of the tissue from which ink, folds, blur and bubbles are reported."""
PALE_OD, DARK_OD = 0.12, 1.4
"""Medians of optical density (red + green + blue) of tissue beyond which a stain is reported."""
GLASS_SPREAD, GLASS_LEAST = 16, 190
"""Largest difference of the channels of bare glass, and least level of one."""


def quality_warnings(quality: dict[str, float], leave_out: Collection[str]) -> tuple[SlideWarning, ...]:
    """Return the warnings of a slide.

    Args:
        quality: Measures by name.
        leave_out: Faults that are left out of the tissue.
    """
    return (*_area_warnings(quality, leave_out), *_colour_warnings(quality))


def _area_warnings(quality: dict[str, float], leave_out: Collection[str]) -> Iterator[SlideWarning]:
    found = {"pen": ("ink", PEN_SHARE), "fold": ("folds", FOLD_SHARE), "blur": ("blur", BLUR_SHARE)}
    found["bubble"] = ("air bubbles", BUBBLE_SHARE)
    for name, (words, most) in found.items():
        share = quality.get(f"{name}_share", 0.0)
        if share < most:
            continue
        remedy = f"results there may be wrong: leave it out with --set quality.leave_out=[{name}]"
        if name in leave_out:
            remedy = "it is left out of all results"
        yield SlideWarning(
            name.upper(),
            f"{share:.0%} of the tissue has {words} (labels/quality); {remedy}. Check overview.png.",
        )


def _colour_warnings(quality: dict[str, float]) -> Iterator[SlideWarning]:
    density = quality.get("od_p50")
    if density is not None and not PALE_OD <= density <= DARK_OD:
        word, code = ("weak", "PALE_STAIN") if density < PALE_OD else ("strong", "DARK_STAIN")
        yield SlideWarning(
            code,
            f"the stain is unusually {word}: half of the tissue has an optical density below {density:.2f} "
            f"(usual: {PALE_OD:g} to {DARK_OD:g}), so nuclei may be missed. Check overview.png.",
        )
    glass = [quality[f"glass_{name}"] for name in ("red", "green", "blue") if f"glass_{name}" in quality]
    if glass and (max(glass) - min(glass) > GLASS_SPREAD or min(glass) < GLASS_LEAST):
        levels = ", ".join(f"{level:.0f}" for level in glass)
        yield SlideWarning(
            "GLASS_COLOUR",
            f"bare glass is not white (red, green, blue: {levels} of 255), so colours are shifted. Check the "
            "white balance of the scanner.",
        )
