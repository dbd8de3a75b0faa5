"""Join the seeds of all shards.

Union-find over the faces of neighbouring shards. All decisions (which seeds count, which components without
a seed do, and their ranks) are properties of whole components, so they do not depend on tiling or
orientation.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.store.tables import Table

MAX_ID = 2**31 - 1
Shard = tuple[int, int]
"""(row, column) of a shard in its grid."""


class _Nodes(NamedTuple):
    """Labels of all shards, numbered consecutively; shard (r, c) starts at ``starts[r, c]``."""

    starts: Array
    sizes: Array
    area: Array
    nucleus: Array
    centre: Array
    foreground: Array


def join_seeds(
    partials: Mapping[Shard, Table], grid_shape: Shard, shard_px: int, mpp: float, params: InstanceParams
) -> Table:
    """Join the seeds of all shards.

    Args:
        partials: Tables of :func:`wsipipe.stages.nuclei.seeds.find_seeds` by shard; missing shards are empty.
        grid_shape: (rows, columns) of the shard grid.
        shard_px: Side of a shard (the last row and column may be shorter).
        mpp: Um per px of the maps.
        params: Area limits; ``grow_um`` must fit in one shard.

    Returns:
        ``seed`` (uint32 by node: the slide's seed 1..n, 0 for none), ``rank`` (uint32 by seed, equal for
        seeds that differ only in position), ``starts`` and ``sizes`` (rows, columns) of the nodes.

    Raises:
        ConfigError: Growing would reach beyond the neighbouring shard, or there are too many nuclei.
    """
    if params.grow_px(mpp) > shard_px:
        raise ConfigError(
            f"instances.grow_um={params.grow_um} is {params.grow_px(mpp)} px at {mpp} um/px, more than a "
            f"shard of {shard_px} px. Lower grow_um or raise the shard size."
        )
    nodes = _stack(partials, grid_shape)
    owner = _owners(nodes, _face_pairs(partials, nodes.starts), mpp, params)
    owned = owner >= 0
    owners, numbers = np.unique(owner[owned], return_inverse=True)
    check_count(owners.size)
    seed = np.zeros(owner.size, np.uint32)
    seed[owned] = numbers + 1
    keys = [_sums(numbers, values[owned]) for values in (nodes.area, nodes.nucleus, nodes.centre)]
    return {"seed": seed, "rank": _ranks(keys), "starts": nodes.starts, "sizes": nodes.sizes}


def check_count(count: int) -> None:
    """Check that there are no more nuclei than ids.

    Label maps must open in tools with signed 32-bit labels.

    Raises:
        ConfigError: There are more; names the count, the limit and the settings that lower the count.
    """
    if count > MAX_ID:
        raise ConfigError(
            f"{count} nuclei were found, but ids end at {MAX_ID}. Raise instances.nucleus_threshold, "
            "instances.centre_threshold or instances.min_seed_um2, or run parts of the slide (--region)."
        )


def grow_tables(joined: Table, shard: Shard) -> Table:
    """Return the seeds of a shard and its neighbours.

    Args:
        joined: Result of :func:`join_seeds`.
        shard: The shard.

    Returns:
        ``seed`` and ``rank`` (uint32 by label, the nine shards in turn), and ``starts`` (3, 3) int64, the
        first label of each shard; -1 for a shard that is outside or empty.
    """
    rows, columns = joined["starts"].shape
    starts = np.full((3, 3), -1, np.int64)
    pieces = [np.zeros(0, np.uint32)]
    total = 0
    for i, j in np.ndindex(3, 3):
        row, column = shard[0] + i - 1, shard[1] + j - 1
        if not (0 <= row < rows and 0 <= column < columns) or joined["starts"][row, column] < 0:
            continue
        start, size = joined["starts"][row, column], joined["sizes"][row, column]
        starts[i, j] = total
        pieces.append(joined["seed"][start : start + size])
        total += size
    seed = np.concatenate(pieces)
    return {"seed": seed, "rank": joined["rank"][seed], "starts": starts}


def _stack(partials: Mapping[Shard, Table], grid_shape: Shard) -> _Nodes:
    starts, sizes = np.full(grid_shape, -1, np.int64), np.zeros(grid_shape, np.int64)
    columns: dict[str, list[Array]] = {name: [] for name in ("area", "nucleus", "centre", "foreground")}
    total = 0
    for shard in sorted(partials):
        partial = partials[shard]
        starts[shard], sizes[shard] = total, partial["area"].size
        for name in ("area", "nucleus", "centre"):
            columns[name].append(partial[name])
        columns["foreground"].append(partial["foreground"] + total)
        total += partial["area"].size
    stacked = [np.concatenate(parts or [np.zeros(0, np.int64)]) for parts in columns.values()]
    return _Nodes(starts, sizes, *stacked)


def _face_pairs(partials: Mapping[Shard, Table], starts: Array) -> Array:
    """Return pairs (2, n) of foreground nodes that meet at faces."""
    pairs = [np.zeros((2, 0), np.int64)]
    for (row, column), partial in partials.items():
        for other, near, far in (((row, column + 1), "right", "left"), ((row + 1, column), "bottom", "top")):
            if other in partials:
                faces = np.stack([partial[near], partials[other][far]]).astype(np.int64)
                begins = np.array([[starts[row, column]], [starts[other]]])
                pairs.append((faces + begins)[:, (faces > 0).all(axis=0)])
    return np.concatenate(pairs, axis=1)


def _owners(nodes: _Nodes, pairs: Array, mpp: float, params: InstanceParams) -> Array:
    """Return the component by node that makes it part of a seed; -1 for none."""
    count = nodes.area.size
    is_seed = nodes.foreground != np.arange(count)
    seeds = _components(pairs[:, is_seed[pairs].all(axis=0)], count)
    foreground = _components(nodes.foreground[pairs], count)[nodes.foreground]
    real = is_seed & (_sums(seeds, nodes.area) >= params.min_seed_px(mpp))[seeds]
    seedless = _sums(foreground, nodes.area) >= params.min_seedless_px(mpp)
    seedless[foreground[real]] = False
    return np.where(real, seeds, np.where(seedless[foreground], count + foreground, -1))


def _components(pairs: Array, count: int) -> Array:
    links = coo_array((np.ones(pairs.shape[1], np.uint8), (pairs[0], pairs[1])), shape=(count, count))
    return connected_components(links, directed=False)[1] if count else np.zeros(0, np.int64)


def _sums(groups: Array, values: Array) -> Array:
    return np.bincount(groups, weights=values).astype(np.int64)


def _ranks(keys: list[Array]) -> Array:
    """Rank the seeds by their sums.

    Args:
        keys: Sums by seed, the most important first.

    Returns:
        Ranks from 1 (uint32), preceded by 0 for no seed.
    """
    order = np.lexsort(keys[::-1])
    step = np.zeros(order.size, np.uint32)
    for key in keys:
        step[1:] |= np.diff(key[order]) != 0
    ranks = np.zeros(order.size + 1, np.uint32)
    ranks[order + 1] = np.cumsum(step) + 1
    return ranks
