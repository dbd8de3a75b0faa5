"""Level l of an image or label array -> level l + 1: box mean for images, mode for labels."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Array
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write

SMALLEST_SIDE_PX = 1024


def level_count(shape: tuple[int, int]) -> int:
    """Levels of a pyramid, so that the last one's longer side is at most 1,024 px."""
    levels = 1
    while max(shape) > SMALLEST_SIDE_PX << (levels - 1):
        levels += 1
    return levels


def _four(pixels: Array) -> tuple[Array, Array, Array, Array]:
    return (
        pixels[..., 0::2, 0::2],
        pixels[..., 0::2, 1::2],
        pixels[..., 1::2, 0::2],
        pixels[..., 1::2, 1::2],
    )


def rgb_mean(pixels: Array) -> Array:
    """RGB (2h, 2w, 3) uint8 -> (3, h, w) uint8, means of 2 x 2 pixels."""
    return np.moveaxis(block_mean(pixels), 2, 0)


def mode_of_four(pixels: Array) -> Array:
    """(..., 2h, 2w) ids -> (..., h, w): the commonest of 2x2, the larger id among equals.

    Ids are never averaged (ome-zarr-py issue 482 shows what interpolated labels look like), and a rule on
    values alone keeps its answer when the slide is turned, which picking one corner would not.
    """
    lowest, low, high, highest = np.sort(np.stack(_four(pixels)), axis=0)
    pair = np.where(low == high, low, lowest)
    top_alone = (low != high) & (high == highest)
    all_differ = (lowest != low) & (low != high) & (high != highest)
    return np.where(top_alone | all_differ, highest, pair)


def pyramid_stage(
    write: Write, level: int, base_downsample: int, shard_px: int, reduce_four: Callable[[Array], Array]
) -> Stage:
    """The stage that makes ``level`` (>= 1) of the array that ``write`` declares for level 0."""
    stem = write.name.rsplit("/", 1)[0]
    finer, coarser = f"{stem}/{level - 1}", f"{stem}/{level}"
    downsample = base_downsample << level
    read = Read(finer, downsample // 2, outside=write.fill)

    def kernel(shard: ShardInput) -> ShardOutput:
        return ShardOutput({coarser: reduce_four(shard.read(finer).pixels)})

    return Stage(f"pyramid {coarser}", downsample, shard_px, (read,), (replace(write, name=coarser),), kernel)
