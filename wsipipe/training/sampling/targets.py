"""Target maps of the nuclei network: nucleus, centre, touching."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

GAP_UM = 0.75


def centre_map(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Return the depth in each nucleus: distance to its border over the maximum.

    Each nucleus peaks at 1 whatever its size, so a threshold of one half separates touching ones.

    Args:
        labels: Instance labels (H, W).

    Returns:
        (H, W) float32 in [0, 1].
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
    """Return a mask (H, W) of pixels near two nuclei.

    Args:
        labels: Instance labels (H, W).
        reach_px: Radius of the disc around a pixel that contains both nuclei.
    """
    y, x = np.ogrid[-reach_px : reach_px + 1, -reach_px : reach_px + 1]
    disc = y**2 + x**2 <= reach_px**2
    highest = ndimage.maximum_filter(labels, footprint=disc)
    absent = np.iinfo(np.int32).max
    lowest = ndimage.minimum_filter(np.where(labels == 0, absent, labels), footprint=disc)
    return (highest > 0) & (highest != lowest)


def target_maps(labels: npt.NDArray[np.integer], has_instances: bool, mpp: float) -> npt.NDArray[np.uint8]:
    """Return the target maps of a field.

    Args:
        labels: Instance labels (H, W).
        has_instances: Whether touching nuclei are separated.
        mpp: Resolution in µm/px.

    Returns:
        (H, W, 4) uint8: nucleus, centre (0 to 255), touching, centre known (else 0 and 1).
    """
    nucleus = labels > 0
    maps = np.zeros((*labels.shape, 4), np.uint8)
    maps[..., 0] = nucleus
    if has_instances:
        maps[..., 1] = np.rint(255 * centre_map(labels))
        maps[..., 2] = touching_map(labels, max(1, round(GAP_UM / mpp)))
    maps[..., 3] = has_instances | ~nucleus
    return maps
