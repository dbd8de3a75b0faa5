"""Neighbours of each nucleus: distance to the nearest, and counts within two radii."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree

from wsipipe.geometry import Array
from wsipipe.store.nuclei_table import NEIGHBOURS, Affine

RADII_UM = (25, 50)
_STEPS_PER_PX = 2.0**17
"""Steps to which centroids are rounded: a power of two above the area of any nucleus in px.

A centroid is a fraction whose denominator is at most twice the area, so it never lies halfway between two
steps: rounding commutes with rotating and mirroring the slide, to the last bit.
"""
_BATCH = 65_536


def measure_neighbours(centroids_px0: Array, affine: Affine, mpp: float) -> dict[str, Array]:
    """Measure the neighbours of each nucleus, from centroid to centroid.

    Args:
        centroids_px0: Centroids (n, 2) float64 (y, x), level-0 px.
        affine: Affine of label px to level-0 px.
        mpp: Um per label px.

    Returns:
        By name of the column: ``nearest_nucleus_um`` (n,) float32, NaN for an only nucleus, and
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
    return {"nearest_nucleus_um": nearest} | {f"nuclei_within_{r}_um": counts for r, counts in within.items()}


def with_neighbours(tables: Iterable[pa.Table], measured: Mapping[str, Array]) -> Iterator[pa.Table]:
    """Yield tables with the columns of :data:`NEIGHBOURS` before the polygon.

    Args:
        tables: Tables with the columns of ``nuclei_table.SCHEMA``.
        measured: Result of :func:`measure_neighbours` for the rows of all tables, in this order.
    """
    start = 0
    for table in tables:
        place, rows = table.schema.get_field_index("polygon"), slice(start, start + table.num_rows)
        for offset, field in enumerate(NEIGHBOURS):
            values = pa.array(measured[field.name][rows], type=field.type, from_pandas=True)
            table = table.add_column(place + offset, field, values)
        start = rows.stop
        yield table
