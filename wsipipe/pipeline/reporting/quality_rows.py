"""Rows of the report about the quality of a slide."""

_UNITS = {"share": " %", "mm2": " mm²"}


def quality_rows(quality: dict[str, float]) -> list[tuple[str, str]]:
    """Return name and text of each measure.

    Args:
        quality: Measures by name; shares are shown in percent.
    """
    return [_row(name, value) for name, value in sorted(quality.items())]


def _row(name: str, value: float) -> tuple[str, str]:
    *words, unit = name.split("_")
    if unit not in _UNITS:
        return name.replace("_", " "), f"{value:.3g}"
    return " ".join(words), f"{100 * value if unit == 'share' else value:.2f}{_UNITS[unit]}"
