"""What the nuclei network shall say: where a nucleus is, how deep inside it a pixel lies, where two touch."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

GAP_UM = 0.75


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


def touching_map(labels: npt.NDArray[np.integer], reach_px: int) -> npt.NDArray[np.bool_]:
    """Instance labels (H, W) -> True (H, W) where two nuclei lie within ``reach_px`` (a disc) of a pixel."""
    y, x = np.ogrid[-reach_px : reach_px + 1, -reach_px : reach_px + 1]
    disc = y**2 + x**2 <= reach_px**2
    highest = ndimage.maximum_filter(labels, footprint=disc)
    absent = np.iinfo(np.int32).max
    lowest = ndimage.minimum_filter(np.where(labels == 0, absent, labels), footprint=disc)
    return (highest > 0) & (highest != lowest)


def target_maps(labels: npt.NDArray[np.integer], has_instances: bool, mpp: float) -> npt.NDArray[np.uint8]:
    """Labels (H, W) -> (H, W, 4) uint8: nucleus, centre (0 to 255), touching, centre known (else 0 and 1)."""
    nucleus = labels > 0
    maps = np.zeros((*labels.shape, 4), np.uint8)
    maps[..., 0] = nucleus
    if has_instances:
        maps[..., 1] = np.rint(255 * centre_map(labels))
        maps[..., 2] = touching_map(labels, max(1, round(GAP_UM / mpp)))
    maps[..., 3] = has_instances | ~nucleus
    return maps
