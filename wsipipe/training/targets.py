"""What the nuclei network shall say: where a nucleus is, how deep inside it a pixel lies, where two touch."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import label, regionprops

GAP_UM = 0.75
LONE_SOLIDITY = 0.93
"""Area over that of the convex hull. Of 4,115 pieces of MoNuSeg's foreground whose instances are known, 69 %
are as solid as that, and 99 % of these are one nucleus; of all pieces 86 % are."""
LONE_AREA_UM2 = 2.0


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


def lone_nuclei(foreground: npt.NDArray[np.bool_], mpp: float) -> npt.NDArray[np.int32]:
    """Foreground (H, W) in which touching nuclei are merged -> ids (H, W) of the pieces that are one nucleus.

    Two nuclei that touch make a waist, so a piece without one is a single nucleus.
    """
    pieces = label(foreground, connectivity=1).astype(np.int32)
    lone = np.zeros(pieces.max() + 1, bool)
    for piece in regionprops(pieces):
        # The cheap test goes first: hulls of specks take most of the time.
        lone[piece.label] = piece.area * mpp**2 >= LONE_AREA_UM2 and piece.solidity >= LONE_SOLIDITY
    return np.where(lone[pieces], pieces, np.int32(0))


def target_maps(labels: npt.NDArray[np.integer], has_instances: bool, mpp: float) -> npt.NDArray[np.uint8]:
    """Labels (H, W) -> (H, W, 4) uint8: nucleus, centre (0 to 255), touching, centre known (else 0 and 1).

    Where touching nuclei are merged, the centre is known of nuclei that touch no other.
    """
    nucleus = labels > 0
    told_apart = labels if has_instances else lone_nuclei(nucleus, mpp)
    maps = np.zeros((*labels.shape, 4), np.uint8)
    maps[..., 0] = nucleus
    maps[..., 1] = np.rint(255 * centre_map(told_apart))
    if has_instances:
        maps[..., 2] = touching_map(labels, max(1, round(GAP_UM / mpp)))
    maps[..., 3] = (told_apart > 0) | ~nucleus
    return maps
