"""Open slides of any format and read pixels at any resolution."""

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
import numpy.typing as npt

from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import ConfigError, InternalError
from wsipipe.geometry import Level, Region
from wsipipe.tiling.mpp import resolve_mpp
from wsipipe.tiling.readers.base import Pixels, Reader, open_error, tile_error
from wsipipe.tiling.readers.dispatch import open_reader
from wsipipe.tiling.readers.files import fingerprint
from wsipipe.tiling.readers.pyramid import levels_of
from wsipipe.tiling.resample import Axis, Lattice, Taps, blocks, resample, taps

if TYPE_CHECKING:
    from PIL import Image

Mask = npt.NDArray[np.bool_]

DECODED_AT_ONCE_PX = 1 << 24
COARSE_AT_ONCE_PX = 1 << 22
"""Source px decoded at once for a view of the whole slide, less than for a shard."""
_STEP_SLACK = 1e-3


class Slide:
    """A whole-slide image, open for reading in one process.

    Coordinates count from the top left corner of the scanned bounds. A slide cannot be pickled or used after
    a fork; pass its path and open it in the other process.

    Attributes:
        path: Path of the file or folder.
        vendor: Name of its format.
        levels: Resolution levels, finest first; shapes are those of the full frame.
        bounds: Scanned part in level-0 px of the full frame.
        mpp: Micrometres per level-0 px.
        mpp_source: Source of ``mpp``: "option", "vendor", "tiff" or "objective".
        decoder: ``library``, or ``tiles`` if wsipipe decodes the tiles of a file that OpenSlide reads too.
        properties: Vendor, objective power and mpp source; no patient data.
    """

    def __init__(self, path: Path, reader: Reader, mpp: float | None = None) -> None:
        facts = reader.facts
        self.path = path
        self.vendor = facts.vendor
        self.bounds = facts.bounds
        self.decoder = facts.decoder
        self.mpp, self.mpp_source = resolve_mpp(facts.clues, mpp, str(path))
        self.levels: tuple[Level, ...] = levels_of(facts, self.mpp)
        self.properties: dict[str, str | float | None] = {
            "vendor": self.vendor,
            "objective_power": facts.clues.objective,
            "mpp_source": self.mpp_source,
        }
        self._reader = reader
        self._lock = contextlib.nullcontext() if facts.concurrent else threading.Lock()
        self._pid = os.getpid()
        self._closed = False

    def read(self, region: Region, mpp: float) -> Pixels:
        """Read a region at any mpp, white where nothing was scanned.

        Args:
            region: Region in px of the grid of ``mpp``; the centre of px i is (i + 0.5) * mpp um from the top
                left corner of the bounds.
            mpp: Micrometres per px, > 0.

        Returns:
            RGB (H, W, 3) uint8.

        Raises:
            SlideError: A tile cannot be decoded; the error has its level, y and x.
        """
        return self.sample_rgb(region, self._corner_lattice(mpp))

    def scanned(self, region: Region, mpp: float) -> Mask:
        """Return which pixels were scanned by at least half.

        The mask is (H, W) bool. Arguments are those of :meth:`read`.
        """
        return self.sample(region, self._corner_lattice(mpp))[1]

    def sample(self, region: Region, lattice: Lattice, at_once_px: int | None = None) -> tuple[Pixels, Mask]:
        """Read a region of any lattice.

        The pixels do not depend on how a larger region is split into smaller ones.

        Args:
            region: Region in samples of ``lattice``.
            lattice: Grid of samples.
            at_once_px: Px of a level decoded at once; default :data:`DECODED_AT_ONCE_PX`.

        Returns:
            RGB (H, W, 3) uint8, and scanned (H, W) bool.

        Raises:
            SlideError: A tile cannot be decoded; the error has its level, y and x.
        """
        rgb, scanned = self._sampled(region, lattice, at_once_px, with_mask=True)
        assert scanned is not None  # noqa: S101 - asked for
        return rgb, scanned

    def sample_rgb(self, region: Region, lattice: Lattice, at_once_px: int | None = None) -> Pixels:
        """Return the RGB of :meth:`sample` alone, with the same arguments."""
        return self._sampled(region, lattice, at_once_px, with_mask=False)[0]

    def _sampled(
        self, region: Region, lattice: Lattice, at_once_px: int | None, with_mask: bool
    ) -> tuple[Pixels, Mask | None]:
        self._check_usable()
        level = coarsest_level(self.levels, lattice.step)
        parts = list(blocks(region, lattice.step / level.downsample, at_once_px or DECODED_AT_ONCE_PX))
        if len(parts) == 1:
            return self._sample_block(region, lattice, level, with_mask)
        rgb = np.empty((*region.shape, 3), np.uint8)
        scanned = np.empty(region.shape, np.bool_) if with_mask else None
        for part in parts:
            at = part.relative_to(region).slices
            rgb[at], mask = self._sample_block(part, lattice, level, with_mask)
            if scanned is not None:
                scanned[at] = mask
        return rgb, scanned

    def thumbnail(self, side_px: int = 512) -> "Image.Image":
        """Return the scanned area as a small picture.

        Args:
            side_px: Longer side of the picture, px.
        """
        from wsipipe.tiling.slide_view import thumbnail

        return thumbnail(self, side_px)

    def __repr__(self) -> str:
        height, width = self.bounds.shape
        return f"Slide({str(self.path)!r}, {self.vendor}, {height} x {width} px, {self.mpp:.4f} um/px)"

    def _repr_html_(self) -> str:
        """Describe the slide in a notebook."""
        from wsipipe.tiling.slide_view import slide_html

        return slide_html(self)

    def fingerprint(self) -> str:
        """Return a fingerprint of the files.

        It is a SHA-256 of names, sizes and samples of contents.
        """
        return fingerprint(self.path)

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise InternalError(
            f"the slide {self.path} cannot be pickled; pass its path and open it in the other process"
        )

    def _check_usable(self) -> None:
        if self._closed:
            raise InternalError(f"the slide {self.path} is read after it was closed; open it again")
        if os.getpid() != self._pid:
            raise InternalError(
                f"the slide {self.path} was opened by process {self._pid} and is used by {os.getpid()}; "
                "start workers by spawn, and open slides in them"
            )

    def _corner_lattice(self, mpp: float) -> Lattice:
        if not mpp > 0:
            raise ConfigError(f"a slide is read at an mpp above 0, but {mpp} was given; use for example 0.5")
        step = mpp / self.mpp
        return Lattice(step, (self.bounds.height / (2 * step), self.bounds.width / (2 * step)))

    def _sample_block(
        self, region: Region, lattice: Lattice, level: Level, with_mask: bool
    ) -> tuple[Pixels, Mask | None]:
        rows = taps(_axis(lattice, level, self.bounds, 0), region.y, region.end_y)
        columns = taps(_axis(lattice, level, self.bounds, 1), region.x, region.end_x)
        source, alpha = self._source(level, _spanned(rows, columns))
        rgb = resample(source, rows, columns)
        if not with_mask:
            return rgb, None
        if alpha is None:
            return rgb, np.ones(region.shape, np.bool_)
        return rgb, resample(alpha[..., None], rows, columns)[..., 0] >= 128

    def _source(self, level: Level, wanted: Region) -> tuple[Pixels, Pixels | None]:
        """Read RGB over white and alpha of a region.

        The region may exceed the bounds. Alpha is None if all px were scanned.
        """
        frame = _bounds_at(self.bounds, level)
        inside = wanted.intersection(frame)
        if inside.area_px == 0:
            return np.full((*wanted.shape, 3), 255, np.uint8), np.zeros(wanted.shape, np.uint8)
        try:
            fault_point("reader.read", self.path.name)
            fault_point("reader.hang", self.path.name)
        except OSError as error:
            raise tile_error(self.path, level.index, inside, error) from error
        with self._lock:
            rgb, alpha = self._reader.read_level(level.index, inside)
        if rgb.shape != (*inside.shape, 3):
            raise tile_error(self.path, level.index, inside, f"its pixels have the shape {rgb.shape}")
        if alpha is not None:
            rgb = _over_white(rgb, alpha)
        if inside == wanted:
            return rgb, alpha
        at = inside.relative_to(wanted).slices
        padded, coverage = np.full((*wanted.shape, 3), 255, np.uint8), np.zeros(wanted.shape, np.uint8)
        padded[at] = rgb
        coverage[at] = 255 if alpha is None else alpha
        return padded, coverage


def open_slide(path: str | os.PathLike[str], mpp: float | None = None) -> Slide:
    """Open a slide of any supported format.

    Args:
        path: File of a format of ``docs/formats.md``, DICOM folder or OME-Zarr.
        mpp: Micrometres per px of level 0; takes precedence over the file.

    Raises:
        SlideError: The file is absent, of no known format, or damaged.
        MppError: The micrometres per px are unknown or invalid.
    """
    place = Path(path)
    try:
        fault_point("reader.open", place.name)
    except OSError as error:
        raise open_error(place, error, "check its disk") from error
    reader = open_reader(place)
    try:
        return Slide(place, reader, mpp)
    except BaseException:
        reader.close()
        raise


def coarsest_level(levels: tuple[Level, ...], step: float) -> Level:
    """Return the coarsest level that is fine enough.

    It has at most ``step`` level-0 px per px.
    """
    fine = [level for level in levels if level.downsample <= step * (1 + _STEP_SLACK)]
    return fine[-1] if fine else levels[0]


def _axis(lattice: Lattice, level: Level, bounds: Region, axis: int) -> Axis:
    start, size = (bounds.y, bounds.height) if axis == 0 else (bounds.x, bounds.width)
    down = level.downsample
    return Axis(lattice.step / down, (start + size / 2 - level.origin[axis]) / down, lattice.centre[axis])


def _spanned(rows: Taps, columns: Taps) -> Region:
    (y, end_y), (x, end_x) = rows.span, columns.span
    return Region(y, x, end_y - y, end_x - x)


def _bounds_at(bounds: Region, level: Level) -> Region:
    """Return the px of a level that the scanned bounds touch."""
    down, (origin_y, origin_x) = level.downsample, level.origin
    y, x = int((bounds.y - origin_y) // down), int((bounds.x - origin_x) // down)
    end_y, end_x = -int((origin_y - bounds.end_y) // down), -int((origin_x - bounds.end_x) // down)
    return Region(y, x, end_y - y, end_x - x).clipped(level.shape)


def _over_white(rgb: Any, alpha: Any) -> Pixels:
    """Blend RGB over white by its alpha, rounded to nearest."""
    opacity = alpha[..., None].astype(np.uint16)
    return ((rgb * opacity + (255 - opacity) * 255 + 127) // 255).astype(np.uint8)
