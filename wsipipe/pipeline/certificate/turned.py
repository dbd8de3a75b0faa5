"""Read the arrays of a published slide as if the slide had been turned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import zarr

from wsipipe.geometry import Array, Orientation, Region
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.stage import Patch, Read
from wsipipe.store.arrays import open_array, read_region
from wsipipe.tiling.canvas import Canvas

Shape = tuple[int, int]


class PublishedPixels:
    """Arrays of a published slide, and its image where only the slide has it.

    Args:
        store: Folder ``slide.zarr``.
        canvas: The slide; None where the image is stored.
    """

    def __init__(self, store: Path, canvas: Canvas | None = None) -> None:
        self._store, self._canvas = store, canvas
        self._arrays: dict[str, zarr.Array] = {}

    def has(self, name: str) -> bool:
        """Return whether an array can be read."""
        return (self._canvas is not None and _is_image(name)) or self.is_stored(name)

    def is_stored(self, name: str) -> bool:
        """Return whether an array is in the store."""
        return not name.startswith("scratch/") and (self._path(name) / "zarr.json").is_file()

    def array(self, name: str) -> zarr.Array:
        """Return a stored array."""
        if name not in self._arrays:
            self._arrays[name] = open_array(self._path(name))
        return self._arrays[name]

    def read(self, read: Read, region: Region) -> Array:
        """Return the pixels (..., h, w) of a region, which may extend beyond the array."""
        if self._canvas is not None and _is_image(read.name):
            return np.moveaxis(self._canvas.read_reduced(region, read.downsample), 2, 0)
        return read_region(self.array(read.name), region, read.outside)

    def _path(self, name: str) -> Path:
        return self._store / name.removeprefix("image/")


def _is_image(name: str) -> bool:
    return name.startswith("image/")


def turned_grid(grid: CanvasGrid, orientation: Orientation) -> CanvasGrid:
    """Return the canvas of a rotated slide."""
    if orientation.value[0] % 2 == 0:
        return grid
    return replace(grid, shape=grid.shape[::-1], offset_px0=grid.offset_px0[::-1])


def turned_region(region: Region, shape: Shape, orientation: Orientation) -> Region:
    """Return a region of an array as it lies in the turned array.

    Args:
        region: Region, which may extend beyond the array.
        shape: (height, width) of the array.
        orientation: Orientation of the turned array.
    """
    turns, mirrored = orientation.value
    for _ in range(turns):
        region = Region(shape[1] - region.end_x, region.y, region.width, region.height)
        shape = shape[::-1]
    return Region(region.y, shape[1] - region.end_x, *region.shape) if mirrored else region


def unturned_region(region: Region, shape: Shape, orientation: Orientation) -> Region:
    """Invert :func:`turned_region`; ``shape`` is that of the turned array."""
    turns, mirrored = orientation.value
    if mirrored:
        region = Region(region.y, shape[1] - region.end_x, *region.shape)
    for _ in range(turns):
        region = Region(region.x, shape[0] - region.end_y, region.width, region.height)
        shape = shape[::-1]
    return region


def turned_patch(
    pixels: PublishedPixels, read: Read, region: Region, grid: CanvasGrid, orientation: Orientation
) -> Patch:
    """Return the patch of a read on the rotated slide.

    Args:
        pixels: The published arrays.
        read: The declared read.
        region: Region in px of the turned array.
        grid: The canvas of the rotated slide.
        orientation: Orientation of the rotated slide.
    """
    own = unturned_region(region, grid.shape_at(read.downsample), orientation)
    found = orientation.apply(pixels.read(read, own), axes=(-2, -1))
    if _is_image(read.name) and not read.channels_first:
        found = np.moveaxis(found, 0, 2)
    return Patch(np.ascontiguousarray(found), region)
