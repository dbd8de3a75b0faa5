"""The slide's Zarr: names, shapes, codecs, whole-shard writes. The only module that opens its arrays.

One shard, one task, one writer. A shard is written whole, made durable, read back and digested; what was
never written reads as an error, not as background (docs/robustness.md, How a slide is written).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import imagecodecs.zarr
import numpy as np
import zarr
from zarr.abc.codec import Codec
from zarr.codecs import Crc32cCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.registry import register_codec

from wsipipe.common import fault_injection
from wsipipe.common.atomic_files import sha256_of, storage_errors, sync_file
from wsipipe.errors import InternalError, StorageError
from wsipipe.geometry import Array, Region

SCHEMA = 1
RESULT = "result"
"""Folder of the work directory that is published; everything beside it is scratch."""
ZSTD_LEVELS = {"full": 5, "low": 1}


class ContiguousJpeg(imagecodecs.zarr.Jpeg):
    """imagecodecs' JPEG codec, fed with contiguous pixels, which its encoder needs after a transpose."""

    def _encode_sync(self, chunk_array: zarr.Array, chunk_spec: Any) -> Any:
        pixels = np.ascontiguousarray(chunk_array.as_numpy_array())
        return super()._encode_sync(type(chunk_array).from_numpy_array(pixels), chunk_spec)


register_codec("imagecodecs_jpeg", ContiguousJpeg)


@dataclass(frozen=True)
class ArraySpec:
    """One array of the store.

    Attributes:
        name: ``image/0``, ``labels/nuclei/0``, ``probabilities/nucleus/0``, ``scratch/seeds``, ...
        shape: (y, x), or (channel, y, x).
        dtype: numpy dtype name.
        fill: Value of pixels in no shard; a published array has every shard.
        shard_px: Side of a shard.
        chunk_px: Side of an inner chunk; divides ``shard_px``.
        codec: ``zstd`` or ``jpeg:QUALITY`` (three channels only).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    fill: int
    shard_px: int
    chunk_px: int
    codec: str = "zstd"

    @property
    def plane(self) -> tuple[int, int]:
        """(height, width)."""
        return self.shape[-2], self.shape[-1]


@dataclass(frozen=True)
class ShardFile:
    """One durable file: where, how long, and what is in it.

    Attributes:
        path: Relative to the work directory.
        size_bytes: Length.
        sha256: Of the file's bytes.
        pixels_sha256: Of the decoded core, C order; empty for files that are no shards.
    """

    path: str
    size_bytes: int
    sha256: str
    pixels_sha256: str = ""

    def as_dict(self) -> dict[str, object]:
        """For the ledger and the manifest."""
        return asdict(self)


def array_path(name: str) -> str:
    """Name of an array -> its path in the work directory; the image is the root multiscale."""
    if name.startswith("scratch/"):
        return f"scratch.zarr/{name.removeprefix('scratch/')}"
    return f"{RESULT}/slide.zarr/{name.removeprefix('image/')}"


def _codecs(spec: ArraySpec) -> dict[str, Any]:
    if spec.codec.startswith("jpeg:"):
        quality = int(spec.codec.partition(":")[2])
        return {
            "filters": [TransposeCodec(order=(1, 2, 0))],
            "serializer": ContiguousJpeg(level=quality),
            # JPEG decodes a flipped bit to other pixels without a word.
            "compressors": [Crc32cCodec()],
        }
    return {"compressors": [ZstdCodec(level=ZSTD_LEVELS["full"], checksum=True)]}


def create_array(work: Path, spec: ArraySpec) -> None:
    """Makes the array's metadata; pixels come shard by shard."""
    leading = spec.shape[:-2]
    with storage_errors(work / array_path(spec.name)):
        zarr.create_array(
            store=work / array_path(spec.name),
            shape=spec.shape,
            dtype=spec.dtype,
            chunks=(*leading, spec.chunk_px, spec.chunk_px),
            shards=(*leading, spec.shard_px, spec.shard_px),
            fill_value=spec.fill,
            dimension_names=("c", "y", "x")[-len(spec.shape) :],
            config={"write_empty_chunks": True},
            **_codecs(spec),
        )


def open_array(path: Path, effort: str | None = None) -> zarr.Array:
    """Opens one array so that a missing shard raises instead of reading as the fill value.

    Args:
        path: Folder of the array.
        effort: Opens for writing with that compression effort (zstd levels decode alike); None for reading.
    """
    if effort is None:
        opened = zarr.open_array(path, mode="r")
        return opened.with_config({"read_missing_chunks": False})
    opened = zarr.open_array(path, mode="r+").with_config({"write_empty_chunks": True})
    if effort == "full":
        return opened
    codecs = tuple(_with_level(codec, ZSTD_LEVELS[effort]) for codec in opened.metadata.codecs)
    metadata = replace(opened.metadata, codecs=codecs)
    return zarr.Array(replace(opened.async_array, metadata=metadata))


def _with_level(codec: Codec, level: int) -> Codec:
    if isinstance(codec, ShardingCodec):
        return replace(codec, codecs=tuple(_with_level(inner, level) for inner in codec.codecs))
    if isinstance(codec, ZstdCodec):
        return replace(codec, level=level)
    return codec


def read_region(array: zarr.Array, region: Region, outside: int) -> Array:
    """(..., height, width) of ``array``; pixels beyond it have the value ``outside``.

    Raises:
        StorageError: A shard is missing or damaged.
    """
    plane = array.shape[-2:]
    inside = region.clipped(plane)
    leading = (slice(None),) * (len(array.shape) - 2)
    try:
        found = np.asarray(array[(*leading, *inside.slices)])
    except Exception as error:
        raise StorageError(
            f"Reading {array.store_path} at y {inside.y}, x {inside.x}, {inside.height} x {inside.width} px "
            f"failed: {error}. A shard is missing or damaged; run the same command again to make it anew."
        ) from error
    if inside == region:
        return found
    pixels = np.full((*array.shape[:-2], *region.shape), outside, array.dtype)
    if inside.area_px:
        pixels[(..., *inside.relative_to(region).slices)] = found
    return pixels


def write_shards(work: Path, name: str, region: Region, pixels: Array, effort: str) -> list[ShardFile]:
    """Writes whole shards, makes them durable, reads them back and digests them.

    Args:
        work: The slide's work directory.
        name: Name of the array.
        region: Core, from shard edge to shard edge (or to the array's end).
        pixels: (..., height, width).
        effort: ``full`` or ``low``.

    Raises:
        StorageError: The file system refused, or what was read back differs.
    """
    folder = work / array_path(name)
    array = open_array(folder, effort)
    leading = (slice(None),) * (len(array.shape) - 2)
    with storage_errors(folder):
        fault_injection.reach("shard.full")
        fault_injection.reach("shard.eio")
        array[(*leading, *region.slices)] = pixels
    side = array.shards[-1]
    files = []
    for shard in region.blocks(side):
        wrote = pixels[(..., *shard.relative_to(region).slices)]
        files.append(_seal(work, folder, (shard.y // side, shard.x // side), shard, wrote, array.ndim))
    return files


def _seal(
    work: Path, folder: Path, index: tuple[int, int], shard: Region, wrote: Array, dimensions: int
) -> ShardFile:
    path = folder / "c" / "/".join(["0"] * (dimensions - 2) + [str(i) for i in index])
    with storage_errors(path):
        sync_file(path)
    array = open_array(folder)
    kept = read_region(array, shard, 0)
    lossless = not any(isinstance(codec, ContiguousJpeg) for codec in _inner_codecs(array))
    if lossless and not np.array_equal(kept, wrote):
        raise StorageError(
            f"{path} reads back other pixels than were written; the disk is not to be trusted."
        )
    digest = hashlib.sha256(np.ascontiguousarray(kept).data).hexdigest()
    return ShardFile(path.relative_to(work).as_posix(), path.stat().st_size, sha256_of(path), digest)


def _inner_codecs(array: zarr.Array) -> Sequence[Codec]:
    sharding = array.metadata.codecs[0]
    if not isinstance(sharding, ShardingCodec):
        raise InternalError(f"{array.store_path} is not sharded; arrays are made by create_array only.")
    return sharding.codecs
