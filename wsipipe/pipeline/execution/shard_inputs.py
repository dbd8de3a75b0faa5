"""Read inputs from the store or the slide."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Lock
from typing import Self

import numpy as np
import zarr

from wsipipe.errors import ConfigError, InternalError, SlideError
from wsipipe.geometry import Array, Region
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.stages.imported import GIVEN_LABELS, GIVEN_TYPES
from wsipipe.stages.stage import Patch, Read
from wsipipe.store.arrays import array_path, open_array, read_region
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.slide import open_slide

SLIDE_READS = ("canvas", "scanned", "overview")


class ShardInputs:
    """Slide and arrays of one plan, opened once.

    Each process opens its own.
    """

    def __init__(self, plan: Plan, work: Path) -> None:
        self.plan = plan
        self._work = work
        self._arrays: dict[str, zarr.Array] = {}
        self._canvas: Canvas | None = None
        # The read-ahead thread and the computing thread read at the same time; a reader of slides that
        # cannot do that has its own lock.
        self._use = Condition()
        self._users = 0

    @property
    def canvas(self) -> Canvas:
        """The slide on the workflow's grid, for an owner that no other thread closes."""
        with self._use:
            self._canvas = self._canvas or self._open()
            return self._canvas

    @contextmanager
    def _in_use(self) -> Iterator[Canvas]:
        """Yield the slide on the workflow's grid, which stays open meanwhile."""
        with self._use:
            canvas = self.canvas
            self._users += 1
        try:
            yield canvas
        finally:
            with self._use:
                self._users -= 1
                self._use.notify_all()

    def _open(self) -> Canvas:
        with warnings.catch_warnings():
            # These warnings were reported when the slide was planned.
            warnings.simplefilter("ignore", UserWarning)
            slide = open_slide(self.plan.slide.path, self.plan.slide.mpp)
        if slide.decoder != self.plan.facts.decoder:
            slide.close()
            raise ConfigError(
                f"{self.plan.slide.path} is decoded by other means on this worker ({slide.decoder}) than "
                f"planned ({self.plan.facts.decoder}), so results could differ. Install a C++ "
                f"compiler on all machines or on none, and restart the cluster."
            )
        return Canvas(slide, self.plan.workflow.tile.mpp, self.plan.facts.lattice_px)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the slide when no thread reads it any more; a later read opens it."""
        with self._use:
            self._use.wait_for(lambda: self._users == 0)
            if self._canvas is not None:
                self._canvas.slide.close()
                self._canvas = None

    def read(self, read: Read, region: Region) -> Patch:
        """Return the pixels of ``region``, halo included."""
        return Patch(self._pixels(read, region), region)

    def _pixels(self, read: Read, region: Region) -> Array:
        if read.name in SLIDE_READS:
            with self._in_use() as canvas:
                if read.name == "canvas":
                    return canvas.read(region)
                return canvas.read_coarse(read.downsample)[read.name == "scanned"]
        if read.name == "given_mask":
            return self._given_mask(read.downsample)
        if read.name in (GIVEN_LABELS, GIVEN_TYPES):
            return read_region(self._prepared(read.name), region, 0)
        if read.name == "regions":
            return self._regions(read.downsample)
        if read.name.startswith("image/"):
            pixels = self._image(read, region)
            # A copy only where the image is not stored.
            return np.ascontiguousarray(np.moveaxis(pixels, 2, 0)) if read.channels_first else pixels
        return read_region(self.array(read.name), region, read.outside)

    def array(self, name: str) -> zarr.Array:
        """Return a finished array of the work directory."""
        if name not in self._arrays:
            self._arrays[name] = open_array(self._work / array_path(name))
        return self._arrays[name]

    def _image(self, read: Read, region: Region) -> Array:
        if self.plan.workflow.tile.image == "none":
            with self._in_use() as canvas:
                return canvas.read_reduced(region, read.downsample)
        pixels = read_region(self.array(read.name), region, read.outside)
        return np.moveaxis(pixels, 0, 2) if read.channels_first else _channels_last(pixels)

    def _prepared(self, name: str) -> zarr.Array:
        """Return an array that ``wsipipe import`` prepared on the canvas."""
        imported = self.plan.workflow.imported
        path = Path(imported.prepared if imported else "") / name
        if not (path / "zarr.json").is_file():
            raise ConfigError(
                f"The imported nuclei are no longer in {path.parent}: they are kept during an import only. "
                "Run wsipipe import again."
            )
        return zarr.open_array(path, mode="r")

    def _given_mask(self, downsample: int) -> Array:
        """Return the given mask, stretched over the scanned area and sampled at px centres."""
        # It imports scipy, which is not needed to read slides.
        from wsipipe.tiling.given_mask import read_given_mask

        path = self.plan.slide.mask_path
        if path is None:
            raise InternalError("A stage reads a given mask, but the slide has none. Plan the slide again.")
        grid = self.plan.facts.grid
        return read_given_mask(path, grid.extent_px0, *grid.centres_px0(downsample))

    def _regions(self, downsample: int) -> Array:
        """Return which px centres lie in a region of interest, (h, w) bool."""
        # They import shapely, which is not needed to read slides.
        from wsipipe.store.regions import within_regions
        from wsipipe.tiling.regions import read_regions

        path = self.plan.slide.regions_path
        if path is None:
            raise SlideError(
                "only regions of interest are computed (tissue.only_regions), but the slide has none. Give "
                "them with --regions or the manifest's column regions_path, or set tissue.only_regions=false."
            )
        regions = read_regions(path, self.plan.facts.grid.extent_px0)
        y, x = self.plan.facts.grid.centres_px0(downsample)
        found = np.zeros((y.size, x.size), np.bool_)
        for row, centre in enumerate(y):
            places = np.stack([np.full(x.size, centre), x], axis=1)
            found[row] = np.any([*within_regions(regions, places).values()], axis=0)
        return found


def _channels_last(pixels: Array) -> Array:
    """Copy (C, H, W) to (H, W, C).

    One channel after another takes a quarter of the time of NumPy's copy of a transpose.
    """
    copied = np.empty((*pixels.shape[1:], len(pixels)), pixels.dtype)
    for channel, plane in enumerate(pixels):
        copied[..., channel] = plane
    return copied


_cache: dict[tuple[int, str, Path], ShardInputs] = {}
_cache_lock = Lock()


def inputs_for(plan: Plan, work: Path) -> ShardInputs:
    """Return the inputs of a plan, opened once per process.

    The last two are kept; a forked process never inherits handles.
    """
    key = (os.getpid(), plan.id, work)
    with _cache_lock:
        if key not in _cache:
            while len(_cache) >= 2:
                _cache.pop(next(iter(_cache))).close()
            _cache[key] = ShardInputs(plan, work)
        return _cache[key]
