"""What a stage is: named arrays in, a pure kernel, named arrays out.

A stage declares what it reads and writes and computes one shard at a time on numpy arrays. It knows
nothing of Dask, Zarr or files: the runner reads and writes for it, one task a shard.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from wsipipe.geometry import Array, Region
from wsipipe.store.tables import Table


@dataclass(frozen=True)
class Frame:
    """The pixel grid on which all arrays of a slide lie.

    Attributes:
        shape: (height, width) of the canvas in px; multiples of the lattice.
        mpp: Um per canvas px.
        offset_px0: Level-0 (y, x) of the canvas's first corner, in continuous px of the slide.
        step_px0: Level-0 px per canvas px.
    """

    shape: tuple[int, int]
    mpp: float
    offset_px0: tuple[float, float]
    step_px0: float

    def shape_at(self, downsample: int) -> tuple[int, int]:
        """(height, width) of an array with one px for ``downsample`` canvas px, rounded up."""
        return -(-self.shape[0] // downsample), -(-self.shape[1] // downsample)

    def affine_at(self, downsample: int) -> tuple[float, float, float]:
        """(offset y, offset x, step): level-0 px = offset + step * px of such an array."""
        return (*self.offset_px0, self.step_px0 * downsample)


@dataclass(frozen=True)
class Read:
    """An array that a stage needs around its core.

    Attributes:
        name: Name of the array, or ``canvas``, ``scanned``, ``overview`` (the slide itself).
        downsample: Canvas px per px of that array.
        halo_px: Context on each side, in px of that array.
        outside: Value of pixels beyond the array.
    """

    name: str
    downsample: int
    halo_px: int = 0
    outside: int = 0


@dataclass(frozen=True)
class Write:
    """An array that a stage makes.

    Attributes:
        name: Name of the array; ``scratch/...`` is not published.
        dtype: numpy dtype name.
        fill: Value of what was never written.
        channels: Names along a leading axis; empty for a plain (y, x) array.
        codec: ``zstd`` or ``jpeg:QUALITY``.
    """

    name: str
    dtype: str
    fill: int
    channels: tuple[str, ...] = ()
    codec: str = "zstd"


@dataclass(frozen=True)
class Patch:
    """Pixels of one array: a core and its halo.

    Attributes:
        pixels: (height, width), or with a trailing axis for RGB, or with leading channels.
        region: Where they lie, in px of that array; may reach beyond it.
    """

    pixels: Array
    region: Region


@dataclass(frozen=True)
class ShardInput:
    """What a kernel sees of one shard.

    Attributes:
        index: (row, column) of the shard in the stage's grid.
        core: The shard, in px of the arrays the stage writes.
        read: Gives the patch of a declared read, when asked for (glass is never decoded for nothing); a
            region, in px of the arrays the stage writes, takes the core's place.
        tables: Results of earlier ``reduce`` steps, by stage name.
        model: The network, where the stage declares weights.
    """

    index: tuple[int, int]
    core: Region
    read: "ReadPatch"
    tables: Mapping[str, Table] = field(default_factory=dict)
    model: Any = None


@dataclass(frozen=True)
class ShardOutput:
    """What a kernel makes of one shard.

    Attributes:
        arrays: Core pixels by array name, every declared write.
        partial: Small arrays for ``reduce``.
        rows: A pyarrow table of nuclei.
        effort: Compression effort: ``full``, or ``low`` where there is only glass.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    partial: Table = field(default_factory=dict)
    rows: Any = None
    effort: str = "full"


class ReadPatch(Protocol):
    """Gives the pixels of a declared read."""

    def __call__(self, name: str, around: Region | None = None) -> Patch:
        """The patch of ``name`` around ``around`` (None: the shard's core)."""
        ...


class Reduce(Protocol):
    """Joins the partial results of all shards once, on the driver."""

    def __call__(self, partials: dict[tuple[int, int], Table], tables: Mapping[str, Table], /) -> Table:
        """Partials by shard, tables by stage name -> the stage's table."""
        ...


@dataclass(frozen=True)
class Stage:
    """One step of the walk: declaration and kernel.

    Attributes:
        name: Unique in a workflow.
        downsample: Canvas px per px of the arrays it writes.
        shard_px: Side of a task's core, in px of those arrays.
        reads: Arrays needed.
        writes: Arrays made; all on one grid.
        kernel: Shard input -> shard output; pure.
        reduce: Joins partials to a table that later stages see.
        weights: Name or path of the network, which makes it a device stage.
        whole: One task does all shards (small arrays that need a view of the whole slide).
    """

    name: str
    downsample: int
    shard_px: int
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    kernel: Callable[[ShardInput], ShardOutput]
    reduce: Reduce | None = None
    weights: str | None = None
    whole: bool = False

    def grid_shape(self, frame: Frame) -> tuple[int, int]:
        """Rows and columns of shards."""
        if self.whole:
            return 1, 1
        height, width = frame.shape_at(self.downsample)
        return -(-height // self.shard_px), -(-width // self.shard_px)

    def core(self, frame: Frame, index: tuple[int, int]) -> Region:
        """The shard at ``index``, clipped to the array."""
        shape = frame.shape_at(self.downsample)
        if self.whole:
            return Region(0, 0, *shape)
        side = self.shard_px
        return Region(index[0] * side, index[1] * side, side, side).clipped(shape)

    def patch_region(self, read: Read, core: Region) -> Region:
        """Where ``read`` lies for ``core``, halo included, in px of the array read."""
        return core.scaled(self.downsample, read.downsample).grown(read.halo_px)


def upsampled(mask: Array, factor: int) -> Array:
    """(h, w) -> (h * factor, w * factor) by repeating pixels."""
    return np.repeat(np.repeat(mask, factor, axis=0), factor, axis=1)
