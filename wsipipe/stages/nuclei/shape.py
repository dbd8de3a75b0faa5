"""Shape, colour and class features of nuclei.

Sums are integers, so every value is the same for every tiling, and every shape feature for every orientation,
to the last bit.
"""

from typing import NamedTuple

import numpy as np
import shapely

from wsipipe.geometry import Array


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
    place = np.flatnonzero(labels)
    label = labels.ravel()[place]
    y, x = np.divmod(place, labels.shape[1])
    first_y, first_x = _smallest(label, y, count), _smallest(label, x, count)
    # Moments about the corner of each nucleus: small integers, exact in float64.
    y, x = (y - first_y[label]).astype(float), (x - first_x[label]).astype(float)
    area, sum_y, sum_x, sum_yy, sum_xx, sum_yx = (
        np.bincount(label, weights, count + 1)[1:] for weights in (None, y, x, y * y, x * x, y * x)
    )
    var_y = (area * sum_yy - sum_y**2) / area**2 + 1 / 12
    var_x = (area * sum_xx - sum_x**2) / area**2 + 1 / 12
    covariance = (area * sum_yx - sum_y * sum_x) / area**2
    spread = np.sqrt((var_y - var_x) ** 2 + 4 * covariance**2)
    return Shape(
        area=area.astype(float),
        # A quotient of integers is rounded once, so it does not depend on the corner of the patch.
        centroid_y=(area * (corner[0] + first_y[1:]) + sum_y) / area + 0.5,
        centroid_x=(area * (corner[1] + first_x[1:]) + sum_x) / area + 0.5,
        major_axis=4 * np.sqrt((var_y + var_x + spread) / 2),
        minor_axis=4 * np.sqrt(np.maximum(var_y + var_x - spread, 0) / 2),
    )


def eccentricity(shape: Shape) -> Array:
    """Return the eccentricity: 0 for a circle, towards 1 for a line."""
    return np.sqrt(np.maximum(0, 1 - (shape.minor_axis / shape.major_axis) ** 2))


def solidity(polygons: Array) -> Array:
    """Return the area of polygons (n,) over that of their convex hulls, in (0, 1]."""
    return shapely.area(polygons) / shapely.area(shapely.convex_hull(polygons))


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
    place = np.flatnonzero(labels)
    label, colours = labels.ravel()[place], image.reshape(-1, 3)[place]
    sums = np.stack([np.bincount(label, colours[:, i], count + 1)[1:] for i in range(3)])
    return sums / np.bincount(label, minlength=count + 1)[1:]


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


def _smallest(label: Array, value: Array, count: int) -> Array:
    smallest = np.full(count + 1, np.iinfo(np.int64).max)
    np.minimum.at(smallest, label, value)
    return smallest
