"""Create, write and read the sharded Zarr arrays of a slide.

Each shard is written by one task. It is written in full, synced, read back and hashed. Reading a shard that
was never written is an error; it does not read as background (docs/robustness.md, How a slide is written).
No other module opens the arrays of a store.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs.zarr
import numpy as np
import zarr
from zarr.abc.codec import Codec
from zarr.codecs import Crc32cCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.registry import register_codec

from wsipipe.common.atomic_files import sha256_of, storage_errors, sync_file
from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import InternalError, StorageError
from wsipipe.geometry import Array, Region
from wsipipe.store.layout import RESULT as RESULT
from wsipipe.store.layout import SCHEMA as SCHEMA
from wsipipe.store.layout import ArraySpec as ArraySpec
from wsipipe.store.layout import ShardFile as ShardFile
from wsipipe.store.layout import array_path as array_path

ZSTD_LEVELS = {"full": 5, "low": 1}


class ContiguousJpeg(imagecodecs.zarr.Jpeg):
    """JPEG codec of imagecodecs that copies pixels to contiguous memory.

    The encoder needs contiguous pixels, which a transpose does not give.
    """

    def _encode_sync(self, chunk_array: zarr.Array, chunk_spec: Any) -> Any:
        pixels = np.ascontiguousarray(chunk_array.as_numpy_array())
        return super()._encode_sync(type(chunk_array).from_numpy_array(pixels), chunk_spec)


register_codec("imagecodecs_jpeg", ContiguousJpeg)


def _codecs(spec: ArraySpec) -> dict[str, Any]:
    if spec.codec.startswith("jpeg:"):
        quality = int(spec.codec.partition(":")[2])
        return {
            "filters": [TransposeCodec(order=(1, 2, 0))],
            "serializer": ContiguousJpeg(level=quality),
            # JPEG decodes a flipped bit to other pixels without an error.
            "compressors": [Crc32cCodec()],
        }
    return {"compressors": [ZstdCodec(level=ZSTD_LEVELS["full"], checksum=True)]}


def create_array(work: Path, spec: ArraySpec) -> None:
    """Create an array without pixels."""
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
    """Open an array so that missing shards raise an error.

    Without this, a missing shard would read as the fill value.

    Args:
        path: Folder of the array.
        effort: Compression effort for writing, ``full`` or ``low`` (all zstd levels decode alike); None opens
            the array for reading.
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
    """Read a region of an array.

    Args:
        array: Array (..., height, width) of the store.
        region: Region, which may extend beyond the array.
        outside: Value of pixels beyond the array.

    Returns:
        (..., region height, region width).

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
            f"failed: {error}. A shard is missing or damaged; run the same command again to recompute it."
        ) from error
    if inside == region:
        return found
    pixels = np.full((*array.shape[:-2], *region.shape), outside, array.dtype)
    if inside.area_px:
        pixels[(..., *inside.relative_to(region).slices)] = found
    return pixels


def write_shards(work: Path, name: str, region: Region, pixels: Array, effort: str) -> list[ShardFile]:
    """Write whole shards and verify them.

    Shards are synced, read back and hashed.

    Args:
        work: Work directory of the slide.
        name: Name of the array.
        region: Region between shard edges (or up to the end of the array).
        pixels: Pixels (..., height, width) of the region.
        effort: Compression effort, ``full`` or ``low``.

    Raises:
        StorageError: Writing fails, or the pixels read back differ.
    """
    folder = work / array_path(name)
    array = open_array(folder, effort)
    leading = (slice(None),) * (len(array.shape) - 2)
    with storage_errors(folder):
        fault_point("shard.full")
        fault_point("shard.eio")
        array[(*leading, *region.slices)] = pixels
    side = array.shards[-1]
    files = []
    for shard in region.blocks(side):
        part = pixels[(..., *shard.relative_to(region).slices)]
        files.append(_seal(work, folder, (shard.y // side, shard.x // side), shard, part, array.ndim))
    return files


def _seal(
    work: Path, folder: Path, index: tuple[int, int], shard: Region, pixels: Array, dimensions: int
) -> ShardFile:
    path = folder / "c" / "/".join(["0"] * (dimensions - 2) + [str(i) for i in index])
    with storage_errors(path):
        sync_file(path)
    array = open_array(folder)
    stored = read_region(array, shard, 0)
    lossless = not any(isinstance(codec, ContiguousJpeg) for codec in _inner_codecs(array))
    if lossless and not np.array_equal(stored, pixels):
        raise StorageError(
            f"Writing {path} failed: other pixels were read back than were written. Check the disk."
        )
    digest = hashlib.sha256(np.ascontiguousarray(stored).data).hexdigest()
    return ShardFile(path.relative_to(work).as_posix(), path.stat().st_size, sha256_of(path), digest)


def _inner_codecs(array: zarr.Array) -> Sequence[Codec]:
    sharding = array.metadata.codecs[0]
    if not isinstance(sharding, ShardingCodec):
        raise InternalError(f"{array.store_path} is not sharded; create arrays with create_array.")
    return sharding.codecs
