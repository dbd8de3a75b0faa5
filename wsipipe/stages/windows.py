"""Windows of one size, placed symmetrically about the middle of the canvas.

For networks whose rounding, or more, depends on where a patch is cut. A pixel always comes from one and the
same window, whatever the shards and patches, and a rotated slide has the rotated windows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from wsipipe.geometry import Array, Region
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.onnx_card import OnnxCard
from wsipipe.models.streaming.area import Found
from wsipipe.stages.stage import StageNetwork


@dataclass(frozen=True)
class Windows:
    """The grid of windows of a canvas, in px of the network's image.

    Attributes:
        core_px: Side of the part of a window that is kept.
        halo_px: Context on each side of it.
        middle: Middle (y, x) of the canvas, where four cores meet.
        stride: Image px per output px.
    """

    core_px: int
    halo_px: int
    middle: tuple[int, int]
    stride: int

    @property
    def context_px(self) -> int:
        """Context that a shard needs, since windows may extend beyond it."""
        return self.halo_px + self.core_px

    def cores(self, region: Region) -> Iterator[Region]:
        """Yield the cores that a region of the image meets."""
        rows = self._starts(region.y, region.end_y, self.middle[0])
        columns = self._starts(region.x, region.end_x, self.middle[1])
        for y, x in product(rows, columns):
            yield Region(y, x, self.core_px, self.core_px)

    def _starts(self, start: int, end: int, middle: int) -> range:
        return range(middle + (start - middle) // self.core_px * self.core_px, end, self.core_px)

    def passes(
        self, network: StageNetwork, pixels: Array, wanted: Array, cell_px: int, core: Region
    ) -> Iterator[Found]:
        """Yield the network's results until all wanted cells are covered.

        Args:
            network: The network.
            pixels: RGB (H, W, 3) uint8 of the core and ``context_px`` on each side.
            wanted: Cells to compute, (rows, columns) bool; they tile the core.
            cell_px: Side of a cell, image px.
            core: The core, image px of the canvas.
        """
        for window in self.cores(core):
            inside = window.intersection(core)
            local = inside.relative_to(core)
            if not wanted[local.scaled(1, cell_px).slices].any():
                continue
            seen = window.grown(self.halo_px).relative_to(core.grown(self.context_px))
            maps = network(pixels[seen.slices])
            kept = inside.relative_to(window.grown(self.halo_px)).scaled(1, self.stride)
            yield Found(local.scaled(1, self.stride), maps[:, *kept.slices], None)


def windows_of(card: ModelCard, canvas: tuple[int, int]) -> Windows | None:
    """Return the windows of an ONNX network; None for others.

    Those are the same however patches are cut.

    Args:
        card: Card of the network.
        canvas: (height, width) of the network's image of the whole canvas, px.
    """
    if not isinstance(card, OnnxCard):
        return None
    middle = canvas[0] // 2, canvas[1] // 2
    return Windows(card.core_px, card.halo_px, middle, card.stride)
