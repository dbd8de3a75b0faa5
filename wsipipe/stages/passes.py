"""Passes of a network over the core of a shard.

Where the network can, it runs over the whole core in bands of rows, and computes no pixel twice. Else it runs
patch by patch, each with its halo. The result is the same. Networks of other tools run on fixed windows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from wsipipe.geometry import Array, Region
from wsipipe.models.streaming.area import Area, Found
from wsipipe.stages.stage import StageNetwork
from wsipipe.stages.windows import Windows

BAND_PX = 64
"""Rows of a band: fewer are slower at the coarse layers, more are no faster."""


@dataclass(frozen=True)
class PassSizes:
    """Sizes of passes, px of the image that the network reads.

    Attributes:
        cell_px: Side of a cell of the mask of wanted cells.
        halo_px: Context of the image on each side of the core.
        patch_px: Side of the core of a patch; bounds memory.
        stride: Image px per output px.
        windows: Windows on which the network runs wherever the core is cut; None if it takes any patch.
    """

    cell_px: int
    halo_px: int
    patch_px: int
    stride: int = 1
    windows: Windows | None = None

    @property
    def band_px(self) -> int:
        """Rows of a band; fewer where a retry after lack of memory asks for small patches."""
        return min(BAND_PX, max(1, self.patch_px // 4))


def passes(
    network: StageNetwork,
    pixels: Array,
    wanted: Array,
    sizes: PassSizes,
    unknown: bool = False,
    core: Region | None = None,
) -> Iterator[Found]:
    """Yield the network's results until all wanted cells are covered.

    Args:
        network: The network.
        pixels: RGB (H, W, 3) uint8 of the core and its halo.
        wanted: Cells to compute, (rows, columns) bool; they tile the core. Results of others are undefined.
        sizes: Sizes of cells, halo and patches.
        unknown: Also report where the features are unknown.
        core: Place of the core in the network's image of the canvas, px, for windows; by default the corner.
    """
    height, width = (extent * sizes.cell_px for extent in wanted.shape)
    if sizes.windows is not None:
        place = Region(0, 0, height, width) if core is None else core
        yield from sizes.windows.passes(network, pixels, wanted, sizes.cell_px, place)
        return
    in_bands = getattr(network, "bands", None) if getattr(network, "in_bands", False) else None
    if in_bands is not None:
        yield from in_bands(pixels, Area(wanted, sizes.cell_px, sizes.halo_px, sizes.band_px), unknown)
        return
    for block in blocks(Region(0, 0, height, width), sizes.patch_px, wanted, sizes.cell_px):
        yield _patch(network, pixels, block, sizes, unknown)


def _patch(network: StageNetwork, pixels: Array, block: Region, sizes: PassSizes, unknown: bool) -> Found:
    halo = sizes.halo_px
    patch = pixels[block.y : block.end_y + 2 * halo, block.x : block.end_x + 2 * halo]
    maps, beyond = network.with_unknown(patch) if unknown else (network(patch), None)
    region = block.scaled(1, sizes.stride)
    inner = Region(halo // sizes.stride, halo // sizes.stride, *region.shape).slices
    return Found(region, maps[:, *inner], None if beyond is None else beyond[inner])


def blocks(core: Region, side_px: int, wanted: Array, unit: int) -> Iterator[Region]:
    """Yield the blocks of a core that hold wanted pixels.

    Args:
        core: Region to divide.
        side_px: Side of a block.
        wanted: Mask of the core, in cells of ``unit`` px.
        unit: Side of a cell, px.
    """
    for block in Region(0, 0, *core.shape).blocks(side_px):
        if wanted[block.scaled(1, unit).slices].any():
            yield block
