"""Sample mask images with Pillow, or with tifffile for TIFF.

No more of the image than needed is held in memory.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from wsipipe.errors import SlideError
from wsipipe.geometry import Array
from wsipipe.tiling.readers.oriented import ORIENTATION_STEPS
from wsipipe.tiling.readers.tiff_head import is_tiff

Indices = npt.NDArray[np.int64]

_MOST_BYTES = 1 << 30
_ORIENTATION_TAG = 274
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_BYTES_OF_MODE = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "LA": 4, "PA": 4}
_NUMBERS = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "RGB", "RGBA", "LA")
_LOSSY_FORMATS = ("JPEG", "MPO", "WEBP", "JPEG2000")
_LOSSY_COMPRESSIONS = {6, 7, 33003, 33004, 33005, 34712, 34887, 50001, 50002}


@dataclass(frozen=True)
class MaskSamples:
    """Values of a mask image at chosen px.

    Attributes:
        colours: Colours (H, W, S) of any number type; 0 is black.
        opacity: Alpha (H, W), 0 is transparent; None without an alpha channel.
        lossy: Whether compression may have changed the values.
        hidden: Whether different palette indices have the same colour.
    """

    colours: Array
    opacity: Array | None
    lossy: bool
    hidden: bool = False


class MaskImage(Protocol):
    """An open mask image in upright orientation."""

    shape: tuple[int, int]

    def sample(self, rows: Indices, columns: Indices) -> MaskSamples:
        """Return the values at upright rows (H,) and columns (W,)."""


@contextmanager
def open_mask(path: Path) -> Iterator[MaskImage]:
    """Open a mask image as a context manager.

    Raises:
        SlideError: The image is too large, or no mask. Other errors come from the decoder.
    """
    if path.is_dir():
        raise SlideError(f"Mask {path} is a folder; give a PNG or TIFF of 0 and 255.")
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        if is_tiff(head):
            with tifffile.TiffFile(file) as tiff:
                yield _TiffMask(path, tiff)
        elif head == _PNG_HEAD:
            # Image.open refuses more than 179 million px, which a 1-bit mask may have.
            with PngImagePlugin.PngImageFile(file) as image:
                yield _PillowMask(path, image)
        else:
            with _opened(path, file) as image:
                yield _PillowMask(path, image)


def _opened(path: Path, file: BinaryIO) -> Image.Image:
    try:
        with warnings.catch_warnings():  # Pillow warns from half of its size limit
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(file)
    except UnidentifiedImageError as error:
        raise _no_mask(path, "is not readable: its content is of no known image format") from error
    except Image.DecompressionBombError as error:
        raise _no_mask(path, "has more than 179 million px, which only PNG and TIFF may have") from error


class _PillowMask:
    def __init__(self, path: Path, image: Image.Image) -> None:
        self._image = image
        size = image.width * image.height * _BYTES_OF_MODE.get(image.mode, 4)
        if size > _MOST_BYTES:
            raise _too_large(path, (image.height, image.width), size)
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise _no_mask(path, f"holds {frames} images")
        image.load()
        self._orientation = image.getexif().get(_ORIENTATION_TAG, 1)
        self.shape = _upright((image.height, image.width), self._orientation)

    def sample(self, rows: Indices, columns: Indices) -> MaskSamples:
        image, mode = self._image, self._image.mode
        stored_at = _StoredIndices(rows, columns, (image.height, image.width), self._orientation)
        stored = np.stack([self._row(row, None)[stored_at.columns] for row in stored_at.rows])
        if mode in _NUMBERS and not image.has_transparency_data:
            values, alpha = stored, False
        elif mode in _NUMBERS and mode in ("LA", "RGBA"):
            values, alpha = stored, True
        else:
            alpha = image.has_transparency_data
            kind = "RGBA" if alpha else "RGB"
            values = np.stack([self._row(row, kind)[stored_at.columns] for row in stored_at.rows])
        values = stored_at.upright(values)
        samples = _split(values, alpha, image.format in _LOSSY_FORMATS)
        hidden = mode in ("P", "PA") and bool(stored.min() != stored.max())
        return MaskSamples(samples.colours, samples.opacity, samples.lossy, hidden)

    def _row(self, row: int, mode: str | None) -> Array:
        """Return one row of the file, (W,) or (W, S)."""
        part = self._image.crop((0, int(row), self._image.width, int(row) + 1))
        return np.asarray(part.convert(mode) if mode else part)[0]


class _TiffMask:
    def __init__(self, path: Path, tiff: tifffile.TiffFile) -> None:
        self._page = _page(path, tiff)
        self._key: Any = self._page.keyframe
        segment = math.prod(self._key.chunks) * self._key.dtype.itemsize
        if segment > _MOST_BYTES:
            raise _too_large(path, self._file_shape, segment, "in one strip or tile")
        tag = self._page.tags.get(_ORIENTATION_TAG) if hasattr(self._page, "tags") else None
        self._orientation = int(tag.value) if tag else 1
        self.shape = _upright(self._file_shape, self._orientation)

    @property
    def _file_shape(self) -> tuple[int, int]:
        return self._key.imagelength, self._key.imagewidth

    def sample(self, rows: Indices, columns: Indices) -> MaskSamples:
        stored_at = _StoredIndices(rows, columns, self._file_shape, self._orientation)
        key = self._key
        stored = np.zeros((len(stored_at.rows), len(stored_at.columns), key.samplesperpixel), key.dtype)
        for segment, (plane, _, y, x, _), shape in self._page.segments(maxworkers=1):
            if segment is None:  # missing in the file: 0
                continue
            at_y, of_y = _within(stored_at.rows, y, shape[1])
            at_x, of_x = _within(stored_at.columns, x, shape[2])
            taken = segment[0][np.ix_(of_y, of_x)]
            planes = slice(plane, plane + taken.shape[2])
            stored[at_y[:, None], at_x[None, :], planes] = taken
        return self._colours(stored_at.upright(stored))

    def _colours(self, stored: Array) -> MaskSamples:
        """Convert stored values (H, W, S) to colours.

        Palettes are applied, and white-is-zero is inverted.
        """
        key, lossy = self._key, int(self._key.compression) in _LOSSY_COMPRESSIONS
        photometric = tifffile.PHOTOMETRIC(key.photometric)
        if photometric == tifffile.PHOTOMETRIC.PALETTE and key.colormap is not None:
            colours = np.moveaxis(key.colormap[:, stored[..., 0].astype(np.int64)], 0, -1)
            return MaskSamples(colours, None, lossy, bool(stored.min() != stored.max()))
        # tifffile stores boolean arrays as white-is-zero without inverting them: True is the mask.
        of_numpy = key.bitspersample == 1 and key.software.startswith("tifffile")
        if photometric == tifffile.PHOTOMETRIC.MINISWHITE and stored.dtype.kind in "bu" and not of_numpy:
            stored = (2**key.bitspersample - 1) - stored.astype(np.int64)
        extra = len(key.extrasamples)
        alpha = extra > 0  # also if its kind is unspecified
        colours = stored.shape[2] - extra
        return _split(stored[..., : colours + alpha], alpha, lossy)


def _page(path: Path, tiff: tifffile.TiffFile) -> Any:
    """Return the largest page of a TIFF.

    Smaller pages are coarser levels or thumbnails.

    Raises:
        SlideError: Several pages have this size, or the page has more than colours and alpha.
    """
    pages = sorted(tiff.pages, key=lambda page: -page.keyframe.imagelength * page.keyframe.imagewidth)
    largest = [page for page in pages if page.keyframe.shape[:2] == pages[0].keyframe.shape[:2]]
    key: Any = pages[0].keyframe
    colours = key.samplesperpixel - len(key.extrasamples)
    known = (1, 3) if int(key.photometric) in (2, 6) else (1,)
    if len(largest) > 1 or key.imagedepth > 1:
        raise _no_mask(path, f"holds {max(len(largest), key.imagedepth)} planes of one size")
    number = key.dtype is not None and key.dtype.kind in "biuf"
    if not number or colours not in known or len(key.extrasamples) > 1:
        raise _no_mask(path, f"holds {key.samplesperpixel} samples of {key.dtype} per px that are no colours")
    return pages[0]


class _StoredIndices:
    """Rows and columns of a file at given upright rows and columns."""

    def __init__(self, rows: Indices, columns: Indices, shape: tuple[int, int], orientation: int) -> None:
        self._swapped, flip_y, flip_x = ORIENTATION_STEPS.get(orientation, ORIENTATION_STEPS[1])
        if self._swapped:
            rows, columns, flip_y, flip_x = columns, rows, flip_x, flip_y
        self.rows = shape[0] - 1 - rows if flip_y else rows
        self.columns = shape[1] - 1 - columns if flip_x else columns

    def upright(self, values: Array) -> Array:
        """Return values (file rows, file columns, ...) in upright order."""
        return values.swapaxes(0, 1) if self._swapped else values


def _upright(shape: tuple[int, int], orientation: int) -> tuple[int, int]:
    return shape[::-1] if ORIENTATION_STEPS.get(orientation, ORIENTATION_STEPS[1])[0] else shape


def _split(values: Array, alpha: bool, lossy: bool) -> MaskSamples:
    values = values if values.ndim == 3 else values[..., None]
    colours = np.nan_to_num(values[..., : values.shape[2] - alpha])
    return MaskSamples(colours, values[..., -1] if alpha else None, lossy)


def _within(wanted: Indices, start: int, count: int) -> tuple[Indices, Indices]:
    """Find the indices in [start, start + count).

    Returns their positions in ``wanted`` and their offsets from ``start``.
    """
    at = np.flatnonzero((wanted >= start) & (wanted < start + count))
    return at, wanted[at] - start


def _too_large(path: Path, shape: tuple[int, int], size: int, where: str = "decoded") -> SlideError:
    return SlideError(
        f"Mask {path} is too large: {shape[1]} x {shape[0]} px take {size / 2**30:.1f} GiB {where}; save it "
        "smaller (8 um/px is enough), or as a tiled TIFF."
    )


def _no_mask(path: Path, found: str) -> SlideError:
    return SlideError(f"Mask {path} {found}; give one plane: a PNG or TIFF of 0 and 255.")
