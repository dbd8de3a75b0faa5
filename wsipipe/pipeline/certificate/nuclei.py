"""Compute the nuclei of a window again from stored probabilities."""

import numpy as np
from scipy import ndimage

from wsipipe.geometry import Array, Region
from wsipipe.stages.nuclei.grow import grow_instances
from wsipipe.stages.nuclei.join import grow_tables, join_seeds
from wsipipe.stages.nuclei.number import merge_instances
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.relabel import relabel
from wsipipe.stages.nuclei.seeds import find_seeds
from wsipipe.store.encoding import PROBABILITY_MAX

NO_PARTNER = 2**32 - 1
"""Id of nuclei without a stored partner; larger than all ids."""


def nuclei_of(nucleus: Array, centre: Array, side_px: int, mpp: float, params: InstanceParams) -> Array:
    """Return the nuclei (h, w) uint32 of two maps, numbered in raster order.

    Args:
        nucleus: Stored nucleus probability (h, w) uint8.
        centre: Stored centre probability (h, w) uint8.
        side_px: Side of the shards into which the maps are cut, px.
        mpp: Um per px.
        params: Thresholds and area limits.
    """
    shape, halo = nucleus.shape, params.grow_px(mpp)
    grid_shape = -(-shape[0] // side_px), -(-shape[1] // side_px)
    cores = {
        (row, column): Region(row * side_px, column * side_px, side_px, side_px).clipped(shape)
        for row, column in np.ndindex(grid_shape)
    }
    seeds, partials = np.zeros(shape, np.uint32), {}
    for index, core in cores.items():
        inside, middle = (np.ascontiguousarray(each[core.slices]) for each in (nucleus, centre))
        seeds[core.slices], partials[index] = find_seeds(inside, middle, params)
    joined = join_seeds(partials, grid_shape, side_px, mpp, params)
    grown, tables = np.zeros(shape, np.uint32), []
    for index, core in cores.items():
        patch = core.grown(halo).clipped(shape)
        around, inside = (np.ascontiguousarray(each) for each in (seeds[patch.slices], nucleus[core.slices]))
        grown[core.slices], table = grow_instances(
            around, inside, core, patch, grow_tables(joined, index), halo
        )
        tables.append(table)
    return relabel(grown, merge_instances(tables, joined["rank"].size - 1, mpp, params)["final"])


def is_whole(nucleus: Array, window: Region, shape: tuple[int, int], level: int) -> Array:
    """Return which px (h, w) do not belong to foreground that the window cuts.

    Args:
        nucleus: Stored nucleus probability (h, w) uint8 of the window.
        window: The window.
        shape: (height, width) of the whole map; its own edges cut nothing.
        level: Smallest stored probability of foreground.
    """
    labels, _ = ndimage.label((nucleus >= level) & (nucleus <= PROBABILITY_MAX))
    cut = [labels[:0].ravel()]
    cut += [labels[0]] if window.y > 0 else []
    cut += [labels[:, 0]] if window.x > 0 else []
    cut += [labels[-1]] if window.end_y < shape[0] else []
    cut += [labels[:, -1]] if window.end_x < shape[1] else []
    ids = np.unique(np.concatenate(cut))
    return ~np.isin(labels, ids[ids > 0])


def renamed(found: Array, stored: Array, in_order: bool) -> Array:
    """Return nuclei with the ids of their stored partners.

    The partner shares most px, and no two nuclei have the same one.

    Args:
        found: Ids (n,) of px, numbered in raster order of the nuclei.
        stored: Stored ids (n,) of the same px.
        in_order: Whether partners must be in the same order too.

    Returns:
        Stored ids (n,) uint32; 0 for background, :data:`NO_PARTNER` for nuclei without a partner.
    """
    both = (found > 0) & (stored > 0)
    pairs, counts = np.unique(np.stack([found[both], stored[both]]), axis=1, return_counts=True)
    pairs = pairs[:, np.argsort(-counts, kind="stable")]
    for side in (0, 1):
        _, first = np.unique(pairs[side], return_index=True)
        pairs = pairs[:, np.sort(first)]
    pairs = pairs[:, np.argsort(pairs[0])]
    if in_order and pairs.size:
        pairs = pairs[:, pairs[1] == np.maximum.accumulate(pairs[1])]
    names = np.full(int(found.max(initial=0)) + 1, NO_PARTNER, np.uint32)
    names[0] = 0
    names[pairs[0]] = pairs[1]
    return names[found]
