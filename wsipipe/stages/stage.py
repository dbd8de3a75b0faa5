"""The contract of a stage.

A stage declares what it reads and writes, and computes one shard at a time on numpy arrays. It has no
knowledge of Dask, Zarr or files: the pipeline reads and writes for it, in one task per shard.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from wsipipe.errors import InternalError
from wsipipe.geometry import Array, Region
from wsipipe.stages.grid import CanvasGrid
from wsipipe.store.ome_metadata import LabelClass
from wsipipe.store.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

    from wsipipe.stages.stage_params import NetworkParams


@dataclass(frozen=True)
class Read:
    """An array that a stage reads around its core.

    Attributes:
        name: Name of the array, or ``canvas``, ``scanned``, ``overview`` (the slide itself).
        downsample: Canvas px per px of that array.
        halo_px: Context on each side, in px of that array.
        outside: Value of pixels beyond the array.
        anywhere: Whether the kernel reads around other regions than its core; the stage then waits for the
            whole array.
        channels_first: Whether RGB comes as it is stored, (3, height, width), without the copy that puts its
            channels last.
    """

    name: str
    downsample: int
    halo_px: int = 0
    outside: int = 0
    anywhere: bool = False
    channels_first: bool = False


Kind = Literal["image", "label", "probability", "scratch"]
_FOLDERS: dict[Kind, str] = {
    "image": "image/",
    "label": "labels/",
    "probability": "probabilities/",
    "scratch": "scratch/",
}


@dataclass(frozen=True)
class Write:
    """An array that a stage writes, and what it is.

    The kind decides what happens to the array. An ``image``, a ``label`` and a ``probability`` are published;
    ``scratch`` is deleted with the work directory. Coarser levels of an image are means, those of a label
    hold the most frequent value; a probability has one level.

    Attributes:
        name: ``image/0``, ``labels/NAME/0``, ``probabilities/NAME/0`` or ``scratch/NAME``.
        kind: What the values are.
        dtype: Name of a numpy dtype.
        fill: Value of pixels that were never written.
        channels: Names along a leading axis; empty for a plain (y, x) array.
        codec: ``zstd`` or ``jpeg:QUALITY``.
        legend: Name and colour of each value of a label, or of each channel; may be empty.
        about: Further attributes of the published group, JSON values by key; reports show ``organ`` and
            ``stain``.
        polygons: Whether the regions of a label are published as GeoJSON too.
    """

    name: str
    kind: Kind
    dtype: str
    fill: int
    channels: tuple[str, ...] = ()
    codec: str = "zstd"
    legend: tuple[LabelClass, ...] = ()
    about: Mapping[str, object] = field(default_factory=dict)
    polygons: bool = False

    def __post_init__(self) -> None:
        if not self.name.startswith(_FOLDERS[self.kind]):
            raise ValueError(
                f"the name of the {self.kind} {self.name!r} must begin with {_FOLDERS[self.kind]!r}"
            )

    @property
    def published(self) -> bool:
        """Whether the array is part of the result."""
        return self.kind != "scratch"

    @property
    def has_pyramid(self) -> bool:
        """Whether coarser levels are made of the array."""
        return self.kind in ("image", "label")

    @property
    def group(self) -> str:
        """The name without its level, as ``labels/nuclei``."""
        return self.name.rsplit("/", 1)[0]

    @property
    def title(self) -> str:
        """Short name for people, as ``tissue class``."""
        return self.group.rsplit("/", 1)[-1].replace("_", " ")


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
    """Input of a kernel for one shard.

    Attributes:
        index: (row, column) of the shard in the stage's grid.
        core: The shard, in px of the arrays the stage writes.
        read: Function that reads the patch of a declared read only when called, so that glass is not decoded;
            a region, in px of the arrays the stage writes, replaces the core of a read that is declared
            with ``anywhere``.
        tables: Results of the ``reduce`` steps of earlier stages, by stage name.
        model: The network, where the stage declares one.
    """

    index: tuple[int, int]
    core: Region
    read: "ReadPatch"
    tables: Mapping[str, Table] = field(default_factory=dict)
    model: "StageNetwork | None" = None

    @property
    def network(self) -> "StageNetwork":
        """The network of a stage that declares one."""
        if self.model is None:
            raise InternalError(
                "A kernel uses a network that its stage does not declare. Set the stage's ``network``."
            )
        return self.model


@dataclass(frozen=True)
class ShardOutput:
    """Output of a kernel for one shard.

    Attributes:
        arrays: Core pixels by array name, for every declared write.
        partial: Small arrays for ``reduce``.
        rows: Rows of the nuclei table.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    partial: Table = field(default_factory=dict)
    rows: "pa.Table | None" = None


class ReadPatch(Protocol):
    """Function that reads the pixels of a declared read."""

    def __call__(self, name: str, around: Region | None = None) -> Patch:
        """Return the patch of ``name`` around ``around`` (None: the shard's core)."""
        ...


class StageNetwork(Protocol):
    """Network that computes the probabilities of a patch.

    One whose ``in_bands`` is true also computes those of a large area, by ``bands``.
    """

    def __call__(self, patch: Array) -> Array:
        """Return probabilities (outputs, h, w) float32 of RGB (H, W, 3) uint8."""
        ...

    def with_unknown(self, patch: Array) -> tuple[Array, Array]:
        """Return the probabilities, and (h, w) bool where the tissue is unlike the training data."""
        ...


class Reduce(Protocol):
    """Function that joins partial results on the driver."""

    def __call__(self, partials: dict[tuple[int, int], Table], tables: Mapping[str, Table], /) -> Table:
        """Return the stage's table from partials by shard and earlier tables by stage name."""
        ...


@dataclass(frozen=True)
class Stage:
    """One step of the flow: declaration and kernel.

    Attributes:
        name: Unique name in a workflow.
        downsample: Canvas px per px of the arrays it writes.
        shard_px: Side of a task's core, in px of those arrays.
        reads: Arrays it needs.
        writes: Arrays it makes; all on one grid.
        kernel: Pure function of a shard's input.
        reduce: Function that joins partials to a table for later stages.
        network: Parameters of its network, which make it run on the device; None without one.
        nuclei_rows: Whether its rows are the nuclei table.
        single_task: Whether one task does all shards (small arrays that need a view of the whole slide).
    """

    name: str
    downsample: int
    shard_px: int
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    kernel: Callable[[ShardInput], ShardOutput]
    reduce: Reduce | None = None
    network: "NetworkParams | None" = None
    nuclei_rows: bool = False
    single_task: bool = False

    def grid_shape(self, grid: CanvasGrid) -> tuple[int, int]:
        """Return rows and columns of shards."""
        if self.single_task:
            return 1, 1
        height, width = grid.shape_at(self.downsample)
        return -(-height // self.shard_px), -(-width // self.shard_px)

    def core(self, grid: CanvasGrid, index: tuple[int, int]) -> Region:
        """Return the shard at ``index``, clipped to the array."""
        shape = grid.shape_at(self.downsample)
        if self.single_task:
            return Region(0, 0, *shape)
        side = self.shard_px
        return Region(index[0] * side, index[1] * side, side, side).clipped(shape)

    def patch_region(self, read: Read, core: Region) -> Region:
        """Return the region of ``read`` for ``core``, halo included, in px of the array read."""
        return core.scaled(self.downsample, read.downsample).grown(read.halo_px)


def upsampled(mask: Array, factor: int) -> Array:
    """Repeat pixels: (h, w) -> (h * factor, w * factor)."""
    return np.repeat(np.repeat(mask, factor, axis=0), factor, axis=1)
