"""All shards' tables of grown nuclei in; which nuclei stay, their final ids, and where each lies, out."""

from collections.abc import Iterable

import numpy as np

from wsipipe.geometry import Region
from wsipipe.stages.nuclei.join import check_count
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.store.tables import Table

NUMBERED = "grow"
"""Name of the table of all nuclei of a slide, made by :func:`merge_instances`."""
_SUMS = ("area", "nucleus")
_BOUNDS = ("min_y", "max_y", "min_x", "max_x")
_COLUMNS = ("id", *_SUMS, *_BOUNDS, "first_x")


def merge_instances(partials: Iterable[Table], seed_count: int, mpp: float, params: InstanceParams) -> Table:
    """Tables by shard -> final id of each seed number, and the table of nuclei.

    Ids are 1..n in raster order of each nucleus's first pixel, without gaps; 0 for what is dropped.

    Args:
        partials: Tables of :func:`wsipipe.stages.nuclei.grow.grow_instances`, in any order.
        seed_count: Seeds of the slide, ``joined["rank"].size - 1``.
        mpp: Um per px.
        params: Area limits.

    Returns:
        ``final`` (seed_count + 1,) uint32, the ids by seed number; and one row a nucleus by id: ``id``,
        ``area`` (px), ``nucleus`` (sum of stored values), ``min_y``, ``max_y``, ``min_x``, ``max_x``,
        ``first_x`` (slide px; the first pixel's y is ``min_y``).
    """
    rows = _combined(partials, seed_count)
    smallest, largest = params.area_limits_px(mpp)
    kept = np.flatnonzero((rows["area"] >= smallest) & (rows["area"] <= largest))
    check_count(kept.size)
    kept = kept[np.lexsort((rows["first_x"][kept], rows["min_y"][kept]))]
    final = np.zeros(seed_count + 1, np.uint32)
    final[kept] = np.arange(1, kept.size + 1)
    return {"final": final, "id": final[kept]} | {name: values[kept] for name, values in rows.items()}


def nuclei_in(merged: Table, core: Region) -> Table:
    """The rows of the nuclei whose first pixel lies in ``core``: each nucleus has one such core."""
    y, x = merged["min_y"], merged["first_x"]
    inside = (y >= core.y) & (y < core.end_y) & (x >= core.x) & (x < core.end_x)
    return {name: merged[name][inside] for name in _COLUMNS}


def patch_of(rows: Table) -> Region:
    """The smallest region that holds every nucleus of ``rows`` whole; (0, 0, 0, 0) if there is none."""
    if not rows["id"].size:
        return Region(0, 0, 0, 0)
    y, x = int(rows["min_y"].min()), int(rows["min_x"].min())
    return Region(y, x, int(rows["max_y"].max()) + 1 - y, int(rows["max_x"].max()) + 1 - x)


def _combined(partials: Iterable[Table], seed_count: int) -> Table:
    """One row a seed number, 0..seed_count, whatever shards it lies in; area 0 where nothing grew."""
    far = np.iinfo(np.int64).max
    rows = {name: np.zeros(seed_count + 1, np.int64) for name in _SUMS}
    rows |= {name: np.full(seed_count + 1, far if name[:3] == "min" else -1) for name in _BOUNDS}
    first = np.full(seed_count + 1, far)
    for partial in partials:
        # a seed stands once in a shard's table, so plain indexing adds and compares correctly
        seed = partial["seed"]
        for name in _SUMS:
            rows[name][seed] += partial[name]
        for name in _BOUNDS:
            closer = np.minimum if name[:3] == "min" else np.maximum
            rows[name][seed] = closer(rows[name][seed], partial[name])
        first[seed] = np.minimum(first[seed], partial["min_y"] << 32 | partial["first_x"])
    return rows | {"first_x": first & 0xFFFFFFFF}
