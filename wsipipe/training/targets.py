"""What the nuclei network shall say: where a nucleus is, and how deep inside it a pixel lies."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def centre_map(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Instance labels (H, W) -> depth (H, W) float32 in [0, 1]: distance to the border over its largest.

    Each nucleus peaks at 1 whatever its size, so a cut at half parts touching ones.
    """
    depth = np.zeros(labels.shape, np.float32)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = labels[box] == index
        distance = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        depth[box][inside] = (distance / distance.max())[inside]
    return depth
