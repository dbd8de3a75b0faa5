"""Optical density of two dyes in nuclei, unmixed from the colour of each pixel.

The density of a pixel is a sum of three whole numbers from tables, so sums over nuclei are exact: the same
for every tiling and orientation.

Source: Ruifrok and Johnston, Analytical and Quantitative Cytology and Histology 23 (2001), for the unmixing;
QuPath 0.5 for the default vectors of H&E and H-DAB and the limits of density, so that its "Nucleus:
Hematoxylin OD mean", "Eosin OD mean" and "DAB OD mean" are comparable.
"""

from functools import cache

import numpy as np

from wsipipe.geometry import Array
from wsipipe.stages.nuclei.compiled_outlines import density_sums

Vector = tuple[float, float, float]
HAEMATOXYLIN: Vector = (0.65111, 0.70119, 0.29049)
EOSIN: Vector = (0.2159, 0.8012, 0.5581)
DAB: Vector = (0.26917, 0.56824, 0.77759)
WHITE = 255
UNIT = 1 << 16
"""Stored value of optical density 1."""


@cache
def density_tables(second: Vector) -> Array:
    """Return the part of each colour value in the densities of haematoxylin and another dye.

    The density is log10(255 / value), as if the glass were white.

    Args:
        second: Colour of the other dye: its optical density in red, green and blue.

    Returns:
        (2, 3, 256) int64 by dye, channel and value, in 1 / 65,536 of an optical density.
    """
    one, two = (np.array(vector) / np.sqrt(np.square(vector).sum()) for vector in (HAEMATOXYLIN, second))
    residual = np.cross(one, two)
    residual /= np.sqrt(np.square(residual).sum())
    # Columns of the inverse of the stain matrix that give the amounts of the two dyes.
    shares = [np.cross(two, residual), np.cross(residual, one)]
    shares = [share / (own @ share) for share, own in zip(shares, (one, two), strict=True)]
    density = -np.log10(np.maximum(np.arange(256), 1) / WHITE)
    return np.rint(np.stack(shares)[:, :, None] * density * UNIT).astype(np.int64)


def mean_densities(labels: Array, image: Array, count: int, second: Vector) -> Array:
    """Return the mean optical density of two dyes in each nucleus, (2, count) float32.

    Args:
        labels: Labels (H, W), 1..count all present, 0 elsewhere.
        image: RGB (H, W, 3) uint8.
        count: Number of labels.
        second: Colour of the dye beside haematoxylin, :data:`EOSIN` or :data:`DAB`.
    """
    tables = density_tables(second)
    found = density_sums(labels, image, count, tables)
    sums = _density_sums(labels, image, count, tables) if found is None else found
    return (sums[:2] / sums[2] / UNIT).astype(np.float32)


def _density_sums(labels: Array, image: Array, count: int, tables: Array) -> Array:
    """Return the sums of :func:`density_sums` without compiled code."""
    place = np.flatnonzero(labels)
    label, pixels = labels.ravel()[place], image.reshape(-1, 3)[place]
    densities = (sum(table[pixels[:, i]] for i, table in enumerate(dye)) for dye in tables)
    # Sums of integers below 2**53 are exact in float64.
    return np.stack([np.bincount(label, each, count + 1)[1:] for each in (*densities, None)])
