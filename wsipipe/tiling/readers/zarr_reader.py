"""Read OME-Zarr 0.4 and 0.5, RGB of 8 bits.

Missing chunks have the fill value, as in Zarr.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from wsipipe.errors import SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.axes import clues_of_axes, scale_of
from wsipipe.tiling.readers.base import Facts, Pixels, open_error, tile_error, whole
from wsipipe.tiling.readers.channels import rgb_order
from wsipipe.tiling.readers.zarr_store import CheckedStore

_CODECS = {
    "BytesCodec",
    "TransposeCodec",
    "ShardingCodec",
    "GzipCodec",
    "ZstdCodec",
    "BloscCodec",
    "Crc32cCodec",
}
_CODECS |= {"Blosc", "Zlib", "GZip", "Zstd", "LZ4", "Jpeg", "ContiguousJpeg"}
_LARGEST_CHUNK_BYTES = 1 << 29
_REMEDY = "write it again as OME-Zarr 0.4 or 0.5 with RGB of 8 bits"


class ZarrReader:
    """Reader of the first multiscale image of an OME-Zarr.

    Raises:
        SlideError: The folder is no OME-Zarr image, or not RGB of 8 bits in one plane.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._axes, self._levels, self._rgb, clues = _multiscale(path)
        except SlideError:
            raise
        except PermissionError as error:
            raise _not_allowed(path, error) from error
        except Exception as error:  # damaged metadata raises anything
            raise open_error(path, f"it is no OME-Zarr image ({error!r})", _REMEDY) from error
        sizes = dict(zip(self._axes, self._levels[0].shape, strict=True))
        flat = {"y", "x", "c"} <= sizes.keys() and all(sizes[a] == 1 for a in sizes.keys() - {"y", "x", "c"})
        if not flat or sizes["c"] != 3 or self._levels[0].dtype != np.uint8:
            found = f"axes {sizes} of {self._levels[0].dtype}"
            raise open_error(path, f"RGB of 8 bits in one plane is needed, but it holds {found}", _REMEDY)
        y, x = self._axes.index("y"), self._axes.index("x")
        shapes = tuple((level.shape[y], level.shape[x]) for level in self._levels)
        self.facts = Facts(vendor="ome-zarr", shapes=shapes, bounds=whole(shapes[0]), clues=clues)

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """Read RGB of a region; see :class:`base.Reader`."""
        rows, columns = region.slices
        cut = tuple({"y": rows, "x": columns, "c": slice(None)}.get(axis, 0) for axis in self._axes)
        try:
            part = np.asarray(self._levels[level][cut])
        except PermissionError as error:
            raise _not_allowed(self._path, error) from error
        except Exception as error:  # codecs raise anything
            raise tile_error(self._path, level, region, error) from error
        kept = [axis for axis in self._axes if axis in "yxc"]
        return part.transpose([kept.index(axis) for axis in "yxc"])[..., self._rgb], None

    def close(self) -> None:
        """Do nothing, since no file is held open."""


def _not_allowed(path: Path, error: PermissionError) -> SlideError:
    return open_error(path, f"{error.filename}: {error.strerror}", "check the permissions of all its files")


def _multiscale(path: Path) -> tuple[list[str], list[zarr.Array], list[int], MppClues]:
    """Open the first multiscale.

    Returns:
        Axis names, arrays finest first, order of the channels, and the stated scale.
    """
    group = zarr.open_group(CheckedStore(path), mode="r")
    attributes = _ome(group)
    if "multiscales" not in attributes and "bioformats2raw.layout" in attributes:
        group = group["0"]
        attributes = _ome(group)
    multiscale = attributes["multiscales"][0]
    axes = multiscale["axes"]
    names = [axis["name"] for axis in axes]
    found = [(_checked(group[dataset["path"]]), dataset) for dataset in multiscale["datasets"]]
    # Datasets may be in any order in practice, so they are sorted by size.
    found.sort(key=lambda pair: -_area_px(names, pair[0].shape))
    finest = found[0][1].get("coordinateTransformations")
    scale = scale_of(len(names), finest, multiscale.get("coordinateTransformations"))
    order = rgb_order(attributes.get("omero", {}).get("channels", []))
    return names, [array for array, _ in found], order, clues_of_axes(axes, scale)


def _area_px(names: Sequence[str], shape: Sequence[int]) -> int:
    return math.prod(side for name, side in zip(names, shape, strict=True) if name in ("y", "x"))


def _checked(array: zarr.Array) -> zarr.Array:
    """Return the array if its codecs and chunk sizes are safe.

    Raises:
        ValueError: A codec may run code or is unknown, or a chunk is too large.
    """
    codecs = [type(codec).__name__ for codec in _codecs(array)]
    strange = sorted(set(codecs) - _CODECS)
    if strange:
        raise ValueError(f"its codecs {', '.join(strange)} are none of {', '.join(sorted(_CODECS))}")
    chunk_bytes = math.prod(array.chunks) * array.dtype.itemsize
    if chunk_bytes > _LARGEST_CHUNK_BYTES:
        raise ValueError(f"one chunk of it has {chunk_bytes / 1e9:.1f} GB, more than is read at once")
    if codecs[-1:] in (["Blosc"], ["BloscCodec"]) and array.shards is None:
        array.store.blosc_arrays.add(array.path)
    return array


def _codecs(array: zarr.Array) -> Iterator[object]:
    """Yield the codecs of an array and its shards.

    For Zarr v2, these are codecs of numcodecs.
    """
    metadata = array.metadata
    if metadata.zarr_format == 2:
        yield from (codec for codec in (metadata.compressor, *(metadata.filters or ())) if codec is not None)
        return
    for codec in metadata.codecs:
        yield codec
        yield from getattr(codec, "codecs", ())


def _ome(group: zarr.Group) -> Mapping[str, Any]:
    """Return the OME attributes of a group.

    They are under "ome" in 0.5, at the top in 0.4.
    """
    attributes = group.attrs.asdict()
    return attributes.get("ome", attributes)
