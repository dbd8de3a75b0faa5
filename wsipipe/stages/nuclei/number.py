"""Number the nuclei of a slide.

Nuclei that are too small or too large are dropped.
"""

from collections.abc import Iterable

import numpy as np

from wsipipe.geometry import Region
from wsipipe.stages.nuclei.join import check_count
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.store.tables import Table

NUMBERED = "grow"
"""Name of the stage whose table lists all nuclei of a slide, see :func:`merge_instances`."""
_SUMS = ("area", "nucleus")
_BOUNDS = ("min_y", "max_y", "min_x", "max_x")
_COLUMNS = ("id", *_SUMS, *_BOUNDS, "first_x")


def merge_instances(partials: Iterable[Table], seed_count: int, mpp: float, params: InstanceParams) -> Table:
    """Merge tables of shards and number the nuclei.

    Ids are 1..n without gaps, in raster order of the first pixel of each nucleus; 0 for dropped nuclei.

    Args:
        partials: Tables of :func:`wsipipe.stages.nuclei.grow.grow_instances`, in any order.
        seed_count: Number of seeds of the slide, ``joined["rank"].size - 1``.
        mpp: Um per px.
        params: Area limits.

    Returns:
        ``final`` (seed_count + 1,) uint32, the ids by seed number; and one row per nucleus by id: ``id``,
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
    """Return nuclei whose first pixel lies in ``core``.

    Each nucleus has exactly one such core.
    """
    y, x = merged["min_y"], merged["first_x"]
    inside = (y >= core.y) & (y < core.end_y) & (x >= core.x) & (x < core.end_x)
    return {name: merged[name][inside] for name in _COLUMNS}


def patch_of(rows: Table) -> Region:
    """Return the bounding region of all nuclei of ``rows``; (0, 0, 0, 0) without nuclei."""
    if not rows["id"].size:
        return Region(0, 0, 0, 0)
    y, x = int(rows["min_y"].min()), int(rows["min_x"].min())
    return Region(y, x, int(rows["max_y"].max()) + 1 - y, int(rows["max_x"].max()) + 1 - x)


def _combined(partials: Iterable[Table], seed_count: int) -> Table:
    """Combine the rows of each seed number, 0..seed_count; area 0 where nothing grew."""
    far = np.iinfo(np.int64).max
    rows = {name: np.zeros(seed_count + 1, np.int64) for name in _SUMS}
    rows |= {name: np.full(seed_count + 1, far if name[:3] == "min" else -1) for name in _BOUNDS}
    first = np.full(seed_count + 1, far)
    for partial in partials:
        # A seed occurs once in the table of a shard, so plain indexing adds and compares correctly.
        seed = partial["seed"]
        for name in _SUMS:
            rows[name][seed] += partial[name]
        for name in _BOUNDS:
            closer = np.minimum if name[:3] == "min" else np.maximum
            rows[name][seed] = closer(rows[name][seed], partial[name])
        first[seed] = np.minimum(first[seed], partial["min_y"] << 32 | partial["first_x"])
    return rows | {"first_x": first & 0xFFFFFFFF}
