"""Open label maps of other tools: TIFF, PNG, NumPy and Zarr."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from PIL import Image

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region

LABEL_SUFFIXES = (".tif", ".tiff", ".png", ".npy")
MOST_ID = 2**32 - 1


@dataclass(frozen=True)
class LabelFile:
    """A label map that is read in regions.

    Attributes:
        path: Path of the map.
        array: Array (y, x) of integers, which is read by slicing.
    """

    path: Path
    array: Any

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Type of the ids."""
        return np.dtype(self.array.dtype)

    def read(self, region: Region) -> Array:
        """Return the ids (h, w) of a region.

        Raises:
            ConfigError: The file is damaged, or an id is negative or too large.
        """
        try:
            found = np.asarray(self.array[region.slices])
        except Exception as error:
            raise _unreadable(self.path, error) from error
        if found.size and (found.min() < 0 or found.max() > MOST_ID):
            raise ConfigError(
                f"{self.path} holds ids from {found.min()} to {found.max()}. Give ids from 0 (background) to "
                f"{MOST_ID}."
            )
        return found


def open_label_file(path: Path, shape: tuple[int, int] | None = None) -> LabelFile:
    """Open a label map.

    Args:
        path: TIFF (also OME-TIFF), PNG, ``.npy``, a Zarr array, or an OME-Zarr image, whose level 0 is read.
        shape: (height, width) that the map must have; None for any.

    Raises:
        ConfigError: It cannot be read, or is no label map of that shape.
    """
    opener = _OPENERS.get(path.suffix.lower(), _open_zarr)
    try:
        array = opener(path)
    except Exception as error:
        raise _unreadable(path, error) from error
    if len(array.shape) != 2 or not np.issubdtype(array.dtype, np.integer):
        raise ConfigError(
            f"{path} is no label map: it has shape {tuple(array.shape)} and type {array.dtype}. Give one "
            "integer per px, 0 for background and one number per nucleus."
        )
    if shape is not None and tuple(array.shape) != shape:
        raise ConfigError(
            f"{path} is {array.shape[0]} x {array.shape[1]} px, but the nuclei of the result are "
            f"{shape[0]} x {shape[1]} px. Give labels on that grid, or outlines as GeoJSON in level-0 px."
        )
    return LabelFile(path, array)


class _Tiff:
    """Finest level of a TIFF; the file is open only while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with tifffile.TiffFile(path) as tiff:
            self.shape, self.dtype = tiff.series[0].shape, tiff.series[0].dtype

    def __getitem__(self, slices: tuple[slice, slice]) -> Array:
        with tifffile.TiffFile(self._path) as tiff, tiff.series[0].aszarr(level=0) as store:
            return np.asarray(zarr.open_array(store, mode="r")[slices])


def _open_png(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image)


def _open_npy(path: Path) -> Any:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _open_zarr(path: Path) -> Any:
    found = zarr.open(path, mode="r")
    return found if isinstance(found, zarr.Array) else found["0"]


_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".tif": _Tiff,
    ".tiff": _Tiff,
    ".png": _open_png,
    ".npy": _open_npy,
}


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path} could not be read as a label map ({error}). Write it again, or name another.")
