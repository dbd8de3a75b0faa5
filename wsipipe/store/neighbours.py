"""Neighbours of each nucleus: distance to the nearest, and counts within two radii."""

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree

from wsipipe.geometry import Array
from wsipipe.store.nuclei_table import Affine

RADII_UM = (25, 50)
_STEPS_PER_PX = 2.0**17
"""Steps to which centroids are rounded: a power of two above the area of any nucleus in px.

A centroid is a fraction whose denominator is at most twice the area, so it never lies halfway between two
steps: rounding commutes with rotating and mirroring the slide, to the last bit.
"""
_BATCH = 65_536


def measure_neighbours(centroids_px0: Array, affine: Affine, mpp: float) -> dict[str, pa.Array]:
    """Measure the neighbours of each nucleus, from centroid to centroid.

    Args:
        centroids_px0: Centroids (n, 2) float64 (y, x), level-0 px.
        affine: Affine of label px to level-0 px.
        mpp: Um per label px.

    Returns:
        By name of the column: ``nearest_nucleus_um`` (n,) float32, null for an only nucleus, and
        ``nuclei_within_25_um``, ``nuclei_within_50_um`` (n,) uint32, without the nucleus itself.
    """
    count = len(centroids_px0)
    nearest = np.full(count, np.nan, np.float32)
    within = {radius: np.zeros(count, np.uint32) for radius in RADII_UM}
    steps = np.rint((centroids_px0 - affine[:2]) / affine[2] * _STEPS_PER_PX)
    um_per_step = mpp / _STEPS_PER_PX
    if count > 1:
        tree = cKDTree(steps)
        for start in range(0, count, _BATCH):
            batch = slice(start, start + _BATCH)
            distances, _ = tree.query(steps[batch], k=2)
            nearest[batch] = distances[:, 1] * um_per_step
            for radius, counts in within.items():
                # Whole steps, so that a distance equal to the radius is inside in every orientation.
                reach = np.floor(radius / um_per_step)
                counts[batch] = tree.query_ball_point(steps[batch], reach, return_length=True) - 1
    columns = {"nearest_nucleus_um": nearest} | {f"nuclei_within_{r}_um": n for r, n in within.items()}
    return {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
