"""Compute a block of a stage again, on the slide as it is or turned."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from wsipipe.geometry import Array, Orientation, Region
from wsipipe.pipeline.certificate.turned import PublishedPixels, turned_grid, turned_patch, turned_region
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.stage import Patch, ShardInput, ShardOutput, Stage, StageNetwork
from wsipipe.store.tables import Table


@dataclass(frozen=True)
class TurnedStage:
    """A stage on a rotated slide.

    Attributes:
        stage: The stage, declared for the turned canvas.
        orientation: Orientation of the slide.
        grid: The canvas as it was published.
        pixels: The published arrays.
        tables: Tables of earlier stages.
        model: Network of the stage; None without one.
    """

    stage: Stage
    orientation: Orientation
    grid: CanvasGrid
    pixels: PublishedPixels
    tables: Mapping[str, Table] = field(default_factory=dict)
    model: StageNetwork | None = None

    def compute(self, core: Region, side_px: int) -> dict[str, Array]:
        """Return the arrays (..., h, w) of a core by name, turned back.

        Args:
            core: Core in px of the arrays that the stage writes, as it was published.
            side_px: Side of the shards into which the turned core is cut.
        """
        turned = turned_region(core, self.grid.shape_at(self.stage.downsample), self.orientation)
        found: dict[str, Array] = {}
        for part in turned.blocks(side_px):
            for name, pixels in self.output(part).arrays.items():
                shape = (*pixels.shape[:-2], *turned.shape)
                whole = found.setdefault(name, np.empty(shape, pixels.dtype))
                whole[(..., *part.relative_to(turned).slices)] = pixels
        return {name: self.orientation.undo(pixels, axes=(-2, -1)) for name, pixels in found.items()}

    def output(self, core: Region) -> ShardOutput:
        """Return what the kernel makes of a core in px of the turned arrays."""
        reads = {read.name: read for read in self.stage.reads}
        grid = turned_grid(self.grid, self.orientation)

        def read(name: str, around: Region | None = None) -> Patch:
            region = self.stage.patch_region(reads[name], around or core)
            return turned_patch(self.pixels, reads[name], region, grid, self.orientation)

        return self.stage.kernel(ShardInput((0, 0), core, read, self.tables, self.model))


def differing_px(stored: Array, found: Array) -> int:
    """Return the number of px that differ in any channel."""
    different = stored != found
    return int(different.reshape(-1, *different.shape[-2:]).any(axis=0).sum())
