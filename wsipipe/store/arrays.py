"""Create, write and read the sharded Zarr arrays of a slide.

Each shard is written by one task. It is written in full, synced, decoded, hashed and read back. Reading a
shard that was never written is an error; it does not read as background (docs/robustness.md, How a slide is
written). No other module opens the arrays of a store.
"""

import hashlib
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, TransposeCodec, ZstdCodec
from zarr.storage import LocalStore

from wsipipe.common.atomic_files import storage_errors, sync_file
from wsipipe.common.disk_sync import move
from wsipipe.common.fault_injection import fault_point
from wsipipe.common.thread_work import in_background
from wsipipe.errors import InternalError, StorageError
from wsipipe.geometry import Array, Region
from wsipipe.store.chunk_codecs import ContiguousJpeg
from wsipipe.store.layout import RESULT as RESULT
from wsipipe.store.layout import SCHEMA as SCHEMA
from wsipipe.store.layout import ArraySpec as ArraySpec
from wsipipe.store.layout import ShardFile as ShardFile
from wsipipe.store.layout import array_path as array_path
from wsipipe.store.shard_format import ShardFormat, format_of

ZSTD_LEVEL = 1
"""Higher levels take 4 to 9 times as long and save 2 to 15 % of the bytes (docs/performance.md)."""


def _codecs(spec: ArraySpec) -> dict[str, Any]:
    if spec.codec.startswith("jpeg:"):
        quality = int(spec.codec.partition(":")[2])
        return {
            "filters": [TransposeCodec(order=(1, 2, 0))],
            "serializer": ContiguousJpeg(level=quality),
            # JPEG decodes a flipped bit to other pixels without an error.
            "compressors": [Crc32cCodec()],
        }
    return {"compressors": [ZstdCodec(level=ZSTD_LEVEL, checksum=True)]}


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


def open_array(path: Path, writable: bool = False) -> zarr.Array:
    """Open an array so that missing shards raise an error.

    Without this, a missing shard would read as the fill value.

    Args:
        path: Folder of the array.
        writable: Whether to open it for writing too.
    """
    if writable:
        return zarr.open_array(path, mode="r+").with_config({"write_empty_chunks": True})
    return zarr.open_array(path, mode="r").with_config({"read_missing_chunks": False})


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
    try:
        found = _stored(array, inside)
    except Exception as error:
        cause = "not found" if isinstance(error, FileNotFoundError) else error
        raise StorageError(
            f"Reading {array.store_path} at y {inside.y}, x {inside.x}, {inside.height} x {inside.width} px "
            f"failed: {cause}. A shard is missing or damaged; run the same command again to recompute it."
        ) from error
    if inside == region:
        return found
    pixels = np.full((*array.shape[:-2], *region.shape), outside, array.dtype)
    if inside.area_px:
        pixels[(..., *inside.relative_to(region).slices)] = found
    return pixels


def _stored(array: zarr.Array, region: Region) -> Array:
    form = format_of(array)
    if form is None or not isinstance(array.store, LocalStore):
        return np.asarray(array[(..., *region.slices)])
    folder = array.store.root / array.path
    found = np.empty((*array.shape[:-2], *region.shape), array.dtype)
    for place in region.scaled(1, form.side_px).blocks(1):
        shard = place.scaled(form.side_px)
        part = shard.intersection(region)
        into = found[(..., *part.relative_to(region).slices)]
        form.decode_file(_shard_path(folder, place, array.ndim), part.relative_to(shard), into)
    return found


def _shard_path(folder: Path, place: Region, dimensions: int) -> Path:
    """Return the file of the shard in a row and a column of shards."""
    return folder / "c" / "/".join(["0"] * (dimensions - 2) + [str(place.y), str(place.x)])


def write_shards(work: Path, name: str, region: Region, pixels: Array) -> list[ShardFile]:
    """Write whole shards and verify them.

    Shards are synced, read back, decoded and hashed.

    Args:
        work: Work directory of the slide.
        name: Name of the array.
        region: Region between shard edges (or up to the end of the array).
        pixels: Pixels (..., height, width) of the region.

    Raises:
        StorageError: Writing fails, or the file holds other pixels.
    """
    folder = work / array_path(name)
    array = open_array(folder)
    form = format_of(array)
    if form is None:
        raise InternalError(f"{folder} is not sharded as by create_array; create arrays with it.")
    files = []
    for shard in region.blocks(form.side_px):
        path = _shard_path(folder, shard.scaled(1, form.side_px), array.ndim)
        part = pixels[(..., *shard.relative_to(region).slices)]
        with storage_errors(path):
            files.append(_write_shard(work, path, form, part))
    return files


def _write_shard(work: Path, path: Path, form: ShardFormat, given: Array) -> ShardFile:
    pixels = np.ascontiguousarray(given, form.dtype)
    data = form.encode(pixels)
    _put(path, data)
    # The disk works while the same bytes are decoded and hashed here.
    synced = in_background(sync_file, path)
    try:
        if form.codec.lossless:
            intact = form.holds(data, pixels) and (
                given.dtype == pixels.dtype or np.array_equal(given, pixels)
            )
        else:
            intact, pixels = True, form.decoded(data, pixels.shape)
        digests = [hashlib.sha256(each).hexdigest() for each in (data, pixels)]
    except Exception as error:  # decoders raise anything
        raise _other_pixels(path) from error
    finally:
        synced.result()
    if not intact or path.read_bytes() != data:
        raise _other_pixels(path)
    return ShardFile(path.relative_to(work).as_posix(), len(data), *digests)


def _other_pixels(path: Path) -> StorageError:
    return StorageError(
        f"Writing {path} failed: other pixels were read back than were written. Check the disk."
    )


def _put(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it; ``*.partial`` is deleted when a run starts."""
    fault_point("shard.full")
    fault_point("shard.eio")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_bytes(data)
        move(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
