"""Micrometres per unit of length in image files."""

LENGTH_UM = {
    "pm": 1e-6,
    "Å": 1e-4,
    "\u212b": 1e-4,  # the Angstrom sign, another character than the letter above
    "nm": 1e-3,
    "µm": 1.0,
    "μm": 1.0,  # the Greek letter, another character than the micro sign above
    "um": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "thou": 25.4,
    "mil": 25.4,
    "li": 25400.0 / 12,
    "pt": 25400.0 / 72,
    "in": 25400.0,
    "ft": 304800.0,
}
"""Symbols of the OME schema 2016-06 (``UnitsLength``), from picometre to metre and inch to foot."""

LENGTH_UM |= {
    "picometer": 1e-6,
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "decimeter": 1e5,
    "meter": 1e6,
    "inch": 25400.0,
    "foot": 304800.0,
    "yard": 914400.0,
}
