"""Stage stain: adapt colours to the training data.

Dyes, section thickness and scanners shift optical density (Beer-Lambert: -ln of the transmitted light). Mean
and standard deviation of each channel over the tissue are matched to the network's reference, after Reinhard
et al. 2001, doi:10.1109/38.946629, who used another colour space. Colours are counted in whole pixels and
changed by a table of 256 values per channel, so the result does not depend on the order or size of shards or
on the orientation of the slide.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from wsipipe.geometry import Array
from wsipipe.models.cards.card import ModelCard, StainReference
from wsipipe.stages.grid import CanvasGrid, network_level, tissue_downsample
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, upsampled
from wsipipe.stages.tile import image_name
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.tables import Table

STAIN = "stain"
REFERENCE = StainReference(mean=(0.485, 0.921, 0.549), sd=(0.333, 0.425, 0.255))
"""Mean of the 30 training fields of MoNuSeg, 0.25 um/px."""

DENSITY = -np.log((np.arange(256) + 1) / 256)
DARKEST_DENSITY = 2.0
"""Upper limit of density: the darkest values of 8 bits are noise and would dominate the deviation."""
DARK = round(256**3 * np.exp(-0.3))
"""A pixel is counted if (r + 1) (g + 1) (b + 1) is below: mean density 0.1."""
FEWEST_PX = 1000
GAIN = (0.5, 2.0)
GLASS_DENSITY = 0.1

Counts = npt.NDArray[np.int64]
Lookup = npt.NDArray[np.uint8]


def colours(pixels: Array, counted: Array | None = None) -> Counts:
    """Return the histogram (3, 256) of each channel over pixels that are not glass.

    Args:
        pixels: RGB (H, W, 3) uint8.
        counted: Pixels to count, (H, W) bool; None for all.
    """
    red, green, blue = (pixels[..., channel].astype(np.int32) + 1 for channel in range(3))
    light = red * green * blue
    dark = light < DARK if counted is None else (light < DARK) & counted
    return np.stack([np.bincount(pixels[..., channel][dark], minlength=256) for channel in range(3)])


def lookup(counts: Counts, reference: StainReference) -> Lookup:
    """Return the table (3, 256) that maps each channel to the reference's stain.

    White stays white; the change increases from glass to density 0.1. With fewer than 1,000 pixels the table
    changes nothing.
    """
    unchanged = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    number = counts[0].sum()
    if number < FEWEST_PX:
        return unchanged
    limited = np.minimum(DENSITY, DARKEST_DENSITY)
    mean = counts @ limited / number
    sd = np.sqrt(np.maximum(counts @ limited**2 / number - mean**2, 1e-6))
    gain = np.clip(np.array(reference.sd) / sd, *GAIN)
    wanted = (DENSITY - mean[:, None]) * gain[:, None] + np.array(reference.mean)[:, None]
    share = np.clip(DENSITY / GLASS_DENSITY, 0, 1)
    density = np.maximum(share * wanted + (1 - share) * DENSITY, 0)
    density = np.maximum.accumulate(density[:, ::-1], axis=1)[:, ::-1]
    return np.clip(np.rint(256 * np.exp(-density) - 1), 0, 255).astype(np.uint8)


def restained(pixels: Array, table: Lookup) -> npt.NDArray[np.uint8]:
    """Return pixels (H, W, 3) uint8 with every channel mapped by the table."""
    changed = np.empty_like(pixels)
    for channel in range(3):
        changed[..., channel] = table[channel][pixels[..., channel]]
    return changed


def stain_stage(card: ModelCard, reference: StainReference, grid: CanvasGrid, shard_px: int) -> Stage:
    """Declare the stage that makes the table of colours.

    It counts the tissue's colours at the um/px of the network that reads them.
    """
    level = network_level(card, grid.mpp, "segment")
    unit = tissue_downsample(grid.mpp) >> level
    reads = (Read(image_name(level), 1 << level, outside=255), Read(TISSUE, tissue_downsample(grid.mpp)))

    def kernel(shard: ShardInput) -> ShardOutput:
        in_tissue = shard.read(TISSUE).pixels == 1
        counts = np.zeros((3, 256), np.int64)
        if in_tissue.any():
            counts = colours(shard.read(image_name(level)).pixels, upsampled(in_tissue, unit))
        return ShardOutput(partial={"counts": counts})

    def reduce(partials: dict[tuple[int, int], Table], _: Mapping[str, Table]) -> Table:
        counts = np.sum([partial["counts"] for partial in partials.values()], axis=0)
        return {"counts": counts, "lookup": lookup(counts, reference)}

    return Stage(STAIN, 1 << level, shard_px, reads, (), kernel, reduce)
