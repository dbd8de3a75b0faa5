"""Stages pyramid: coarser levels of images and labels.

Images are averaged over 2 x 2 px; labels take the most frequent value.
"""

from dataclasses import replace

import numpy as np

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Array
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write

SMALLEST_SIDE_PX = 1024
_BAND_ROWS = 32
"""Rows computed at once: few enough for the processor's cache, which makes it three times as fast."""


def level_count(shape: tuple[int, int]) -> int:
    """Return the levels of a pyramid whose last one has at most 1,024 px per side."""
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


def _sorted(first: Array, second: Array, third: Array, fourth: Array) -> tuple[Array, Array, Array, Array]:
    """Sort four arrays pixel by pixel, by a network of five comparisons."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    other_low, other_high = np.minimum(third, fourth), np.maximum(third, fourth)
    inner, other_inner = np.maximum(low, other_low), np.minimum(high, other_high)
    lowest, highest = np.minimum(low, other_low), np.maximum(high, other_high)
    return lowest, np.minimum(inner, other_inner), np.maximum(inner, other_inner), highest


def means_of_four(pixels: Array) -> Array:
    """Return the mean of every 2 x 2 px.

    Pixels (C, 2h, 2w) uint8 give (C, h, w).
    """
    channels, height, width = pixels.shape
    rows = block_mean(pixels.reshape(channels * height, width))
    return rows.reshape(channels, height // 2, width // 2)


def mode_of_four(pixels: Array) -> Array:
    """Return the most frequent id of every 2 x 2 px.

    Ids (..., 2h, 2w) give (..., h, w); of equally frequent ids the largest is taken. Ids are never averaged
    (ome-zarr-py issue 482 shows interpolated labels), and a rule on values alone does not depend on the
    orientation of the slide, as picking one corner would.
    """
    modes = np.empty((*pixels.shape[:-2], pixels.shape[-2] // 2, pixels.shape[-1] // 2), pixels.dtype)
    for row in range(0, modes.shape[-2], _BAND_ROWS):
        band = pixels[..., 2 * row : 2 * (row + _BAND_ROWS), :]
        lowest, low, high, highest = _sorted(*_four(band))
        pair_below = (lowest == low) & (high != highest)
        modes[..., row : row + _BAND_ROWS, :] = np.where(
            low == high, low, np.where(pair_below, lowest, highest)
        )
    return modes


def pyramid_stage(base: Write, level: int, base_downsample: int, shard_px: int) -> Stage:
    """Declare the stage that makes one coarser level of an array.

    Args:
        base: Declaration of level 0 of an image or a label.
        level: Level to make, >= 1.
        base_downsample: Canvas px per px of level 0.
        shard_px: Side of a shard.
    """
    finer, write = f"{base.group}/{level - 1}", replace(base, name=f"{base.group}/{level}")
    downsample = base_downsample << level
    read = Read(finer, downsample // 2, outside=base.fill, channels_first=True)

    def kernel(shard: ShardInput) -> ShardOutput:
        pixels = shard.read(finer).pixels
        coarser = means_of_four(pixels) if base.kind == "image" else mode_of_four(pixels)
        return ShardOutput({write.name: coarser})

    return Stage(f"pyramid {write.name}", downsample, shard_px, (read,), (write,), kernel)
