"""Colours of pictures, layers and exports.

Readers with any kind of colour vision tell the colours of a group apart. Most are Okabe and Ito's eight
colours (Color Universal Design, 2008); the tests measure all of them under simulated colour blindness.
"""

Rgb = tuple[int, int, int]

BLACK: Rgb = (0, 0, 0)
WHITE: Rgb = (255, 255, 255)
ORANGE: Rgb = (230, 159, 0)
SKY_BLUE: Rgb = (86, 180, 233)
GREEN: Rgb = (0, 158, 115)
YELLOW: Rgb = (240, 228, 66)
BLUE: Rgb = (0, 114, 178)
VERMILLION: Rgb = (213, 94, 0)
PURPLE: Rgb = (204, 121, 167)

MATCHED, MISSED, EXTRA = GREEN, VERMILLION, BLUE
"""Nuclei of a comparison: in both, in the reference alone, in the result alone."""

NUCLEUS: Rgb = (0, 230, 50)
"""Outline of a nucleus without a class: haematoxylin, eosin and DAB are never green."""
RIM: Rgb = (10, 30, 20)
"""Thin rim around an outline: it keeps bright lines apart from pale tissue."""
REGION: Rgb = (0, 80, 200)
"""Outline of tissue, and of the place of a close-up."""
UNKNOWN: Rgb = (128, 128, 128)

TISSUE_CLASSES: dict[str, Rgb] = {
    "ADI": (240, 220, 40),
    "BACK": (245, 245, 245),
    "DEB": (70, 60, 40),
    "LYM": (90, 50, 240),
    "MUC": (110, 155, 255),
    "MUS": (180, 110, 20),
    "NORM": (30, 210, 120),
    "STR": (255, 155, 220),
    "TUM": (125, 0, 125),
    "gland_benign": (30, 210, 120),
    "gland_malignant": (125, 0, 125),
    "stroma": (255, 155, 220),
}
"""Colours of the classes that wsipipe's data sets have, by name."""
FURTHER: tuple[Rgb, ...] = (ORANGE, SKY_BLUE, PURPLE, YELLOW, BLUE, VERMILLION, GREEN)
"""Colours of other classes, in the order in which they are given."""

QUPATH_TYPES: dict[str, Rgb] = {
    "epithelial": (200, 0, 0),
    "inflammatory": (160, 90, 160),
    "spindle": (150, 200, 150),
    "other": (255, 200, 0),
}
"""Types of nuclei in files, as QuPath's Tumor, Immune cells, Stroma and Other (``PathClass``, QuPath 0.5)."""
SHOWN_TYPES: dict[str, Rgb] = {
    "epithelial": (255, 110, 0),
    "inflammatory": (0, 190, 255),
    "spindle": (0, 200, 60),
    "other": (255, 240, 60),
}
"""Types of nuclei as outlines on the slide: QuPath's purple is that of haematoxylin."""
DAB_CLASSES: tuple[Rgb, ...] = ((0, 190, 255), (255, 235, 0), (255, 140, 0), (255, 60, 80))
"""Outlines of nuclei without DAB, and with DAB of 1+, 2+ and 3+."""


def further(place: int) -> Rgb:
    """Return the colour of a class without one of its own."""
    return FURTHER[place % len(FURTHER)]


def on_slide(name: str, rgb: Rgb) -> Rgb:
    """Return the colour of a type's outlines on the slide.

    Args:
        name: Name of the type.
        rgb: Colour in its files, which is kept where the type is not known or has a colour of its own.
    """
    return SHOWN_TYPES[name] if QUPATH_TYPES.get(name) == rgb else rgb
