"""Find the seeds of nuclei in one shard.

It reads the nucleus and centre maps without a halo: components are labelled inside the shard, and
:mod:`wsipipe.stages.nuclei.join` joins them across shard faces.
"""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from wsipipe.geometry import Array
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.nuclei.compiled_instances import labelled_seeds
from wsipipe.stages.nuclei.join import join_seeds
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.segment import probability_name
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX
from wsipipe.store.tables import Table

SEEDS = "scratch/seeds"
NUCLEUS_MAP = probability_name("nucleus")
CENTRE_MAP = probability_name("centre")


def seeds_stage(params: InstanceParams, grid: CanvasGrid, downsample: int, shard_px: int) -> Stage:
    """Declare the stage that labels seeds and foreground.

    The reduce step joins them across shard faces.
    """
    mpp = grid.mpp * downsample
    reads = tuple(Read(name, downsample, outside=NOT_COMPUTED) for name in (NUCLEUS_MAP, CENTRE_MAP))

    def kernel(shard: ShardInput) -> ShardOutput:
        labels, partial = find_seeds(shard.read(NUCLEUS_MAP).pixels, shard.read(CENTRE_MAP).pixels, params)
        return ShardOutput({SEEDS: labels}, partial)

    def reduce(partials: dict[tuple[int, int], Table], tables: Mapping[str, Table]) -> Table:
        return join_seeds(partials, stage.grid_shape(grid), shard_px, mpp, params)

    stage = Stage(
        "seeds", downsample, shard_px, reads, (Write(SEEDS, "scratch", "uint32", 0),), kernel, reduce
    )
    return stage


def find_seeds(nucleus: Array, centre: Array, params: InstanceParams) -> tuple[Array, Table]:
    """Label seeds and foreground of a shard.

    Local labels are 0 for background, 1..s for the s seed components, and s + 1..s + f for the rest of
    the f foreground components; so ``labels > 0`` is the foreground, and one table maps labels to nuclei.

    Args:
        nucleus: Nucleus probability times 250, (H, W) uint8; values above 250 are not computed.
        centre: Centre probability times 250, on the same pixels.
        params: Parameters with the thresholds.

    Returns:
        The labels (H, W) uint32, and a table: ``area``, ``nucleus``, ``centre`` (int64 sums by label),
        ``foreground`` (the label of the foreground component that holds each label; itself if it is one), and
        the labels of the outermost pixels ``top``, ``bottom``, ``left``, ``right``.
    """
    found = labelled_seeds(nucleus, centre, (params.nucleus_level, params.centre_level))
    labels, partial = _with_scipy(nucleus, centre, params) if found is None else found
    return labels, partial | _outermost(labels)


def _with_scipy(nucleus: Array, centre: Array, params: InstanceParams) -> tuple[Array, Table]:
    foreground = _from_level(nucleus, params.nucleus_level)
    seed = foreground & _from_level(centre, params.centre_level)
    seed_labels, seed_count = ndimage.label(seed)
    foreground_labels, foreground_count = ndimage.label(foreground)
    holder = np.arange(1 + seed_count + foreground_count)
    holder[seed_labels[seed]] = foreground_labels[seed] + seed_count
    labels = np.where(foreground, foreground_labels + seed_count, 0)
    labels = np.where(seed, seed_labels, labels).astype(np.uint32)
    inside = labels[foreground]
    partial = {
        "area": np.bincount(inside, minlength=holder.size),
        "nucleus": _sums(inside, nucleus[foreground], holder.size),
        "centre": _sums(inside, centre[foreground], holder.size),
        "foreground": holder,
    }
    return labels, partial


def _from_level(stored: Array, level: int) -> Array:
    return (stored >= level) & (stored <= PROBABILITY_MAX)


def _sums(labels: Array, values: Array, count: int) -> Array:
    # bincount adds in float64: exact, since a shard's sum stays far below 2**53
    return np.bincount(labels, weights=values, minlength=count).astype(np.int64)


def _outermost(labels: Array) -> Table:
    faces = {"top": labels[0], "bottom": labels[-1], "left": labels[:, 0], "right": labels[:, -1]}
    return {name: face.copy() for name, face in faces.items()}
