"""Shape, colour and class features of nuclei.

Sums are integers, so every value is the same for every tiling, and every shape feature for every orientation,
to the last bit.
"""

from typing import NamedTuple

import numpy as np

from wsipipe.geometry import Array
from wsipipe.stages.nuclei.compiled_outlines import colour_sums, moment_sums


class Shape(NamedTuple):
    """Shape features of each nucleus, (n,) float64.

    Lengths and areas are in px, positions in px of the slide.
    """

    area: Array
    centroid_y: Array
    centroid_x: Array
    major_axis: Array
    minor_axis: Array


def shapes(labels: Array, count: int, corner: tuple[int, int] = (0, 0)) -> Shape:
    """Measure area, centroid and axes of each label.

    The axes are those of the ellipse with the same moments. Pixels are unit squares (hence the 1/12), and
    pixel (i, j) spans [i, i + 1] x [j, j + 1].

    Args:
        labels: Labels (H, W) int, 1..count all present and whole.
        count: Number of labels.
        corner: Position (y, x) of the first pixel of ``labels``, in px of the slide.
    """
    found = moment_sums(labels, count)
    sums = _moment_sums(labels, count) if found is None else found
    area, (sum_y, sum_x, sum_yy, sum_xx, sum_yx) = sums[0], sums[1:6].astype(float)
    first_y, first_x = sums[6:]
    var_y = (area * sum_yy - sum_y**2) / area**2 + 1 / 12
    var_x = (area * sum_xx - sum_x**2) / area**2 + 1 / 12
    covariance = (area * sum_yx - sum_y * sum_x) / area**2
    spread = np.sqrt((var_y - var_x) ** 2 + 4 * covariance**2)
    return Shape(
        area=area.astype(float),
        # A quotient of integers is rounded once, so it does not depend on the corner of the patch.
        centroid_y=(area * (corner[0] + first_y) + sum_y) / area + 0.5,
        centroid_x=(area * (corner[1] + first_x) + sum_x) / area + 0.5,
        major_axis=4 * np.sqrt((var_y + var_x + spread) / 2),
        minor_axis=4 * np.sqrt(np.maximum(var_y + var_x - spread, 0) / 2),
    )


def eccentricity(shape: Shape) -> Array:
    """Return the eccentricity: 0 for a circle, towards 1 for a line."""
    return np.sqrt(np.maximum(0, 1 - (shape.minor_axis / shape.major_axis) ** 2))


def circularity(area: Array, perimeter: Array) -> Array:
    """Return 4 pi area / perimeter^2, in (0, 1]; 1 for a disc."""
    return np.minimum(1, 4 * np.pi * area / perimeter**2)


def mean_colours(labels: Array, image: Array, count: int) -> Array:
    """Return the mean red, green and blue of each label, (3, count) float64.

    Args:
        labels: Labels (H, W), 1..count all present.
        image: RGB (H, W, 3) uint8.
        count: Number of labels.
    """
    found = colour_sums(labels, image, count)
    if found is None:
        place = np.flatnonzero(labels)
        label, colours = labels.ravel()[place], image.reshape(-1, 3)[place]
        found = np.stack([np.bincount(label, w, count + 1)[1:] for w in (None, *colours.T)])
    return found[1:] / found[0]


def classes_at(class_map: Array, y: Array, x: Array) -> Array:
    """Return the class at each position, (n,) uint8; 255 outside the map.

    On the edge between two pixels the smaller class is taken: the pixel below or to the right would depend on
    the orientation.

    Args:
        class_map: Class map (h, w) uint8.
        y: Positions (n,), in continuous px of the map.
        x: Positions (n,), in continuous px of the map.
    """
    padded = np.pad(class_map, 1, constant_values=255)
    rows = [np.clip(np.floor(y), -1, class_map.shape[0]), np.clip(np.ceil(y) - 1, -1, class_map.shape[0])]
    columns = [np.clip(np.floor(x), -1, class_map.shape[1]), np.clip(np.ceil(x) - 1, -1, class_map.shape[1])]
    found = [padded[r.astype(int) + 1, c.astype(int) + 1] for r in rows for c in columns]
    return np.minimum.reduce(found)


def _moment_sums(labels: Array, count: int) -> Array:
    """Return the sums of :func:`moment_sums` without compiled code."""
    place = np.flatnonzero(labels)
    label = labels.ravel()[place]
    y, x = np.divmod(place, labels.shape[1])
    first_y, first_x = _smallest(label, y, count), _smallest(label, x, count)
    # Moments about the corner of each nucleus: small integers, exact in float64.
    y, x = y - first_y[label], x - first_x[label]
    sums = (np.bincount(label, weights, count + 1) for weights in (None, y, x, y * y, x * x, y * x))
    return np.stack([*(each.astype(np.int64) for each in sums), first_y, first_x])[:, 1:]


def _smallest(label: Array, value: Array, count: int) -> Array:
    smallest = np.full(count + 1, np.iinfo(np.int64).max)
    np.minimum.at(smallest, label, value)
    return smallest
