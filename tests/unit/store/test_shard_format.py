"""Shards have the bytes that zarr-python gives them, and damage on the way to the disk is found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, ShardingCodec, ZstdCodec

from wsipipe.errors import StorageError
from wsipipe.geometry import Array, Region
from wsipipe.store import arrays
from wsipipe.store.arrays import ArraySpec, array_path, create_array, open_array, read_region, write_shards
from wsipipe.store.chunk_codecs import JpegChunks, ZstdChunks
from wsipipe.store.shard_format import format_of

SPECS = [
    ArraySpec("labels/x/0", (100, 70), "uint8", 255, shard_px=64, chunk_px=32),
    ArraySpec("labels/y/0", (100, 70), "uint32", 7, shard_px=64, chunk_px=16),
    ArraySpec("probabilities/z/0", (5, 70, 100), "uint8", 255, shard_px=64, chunk_px=32),
    ArraySpec("image/0", (3, 70, 100), "uint8", 255, shard_px=64, chunk_px=32, codec="jpeg:90"),
]


def pixels_of(spec: ArraySpec) -> Array:
    values = np.random.default_rng(0).integers(0, 1 << 31, spec.shape)
    return (values % (256 if spec.dtype == "uint8" else 1 << 31)).astype(spec.dtype)


def written(work: Path, spec: ArraySpec) -> tuple[Path, Array]:
    create_array(work, spec)
    pixels = pixels_of(spec)
    write_shards(work, spec.name, Region(0, 0, *spec.plane), pixels)
    return work / array_path(spec.name), pixels


def lexicographic(array: zarr.Array) -> zarr.Array:
    """Return the array with chunks written row by row; zarr's own order follows a curve."""
    (sharding,) = array.metadata.codecs
    metadata = replace(array.metadata, codecs=(replace(sharding, subchunk_write_order="lexicographic"),))
    return zarr.Array(replace(array.async_array, metadata=metadata))


def by_zarr(work: Path, spec: ArraySpec, in_rows: bool) -> Path:
    create_array(work, spec)
    folder = work / array_path(spec.name)
    array = open_array(folder, writable=True)
    (lexicographic(array) if in_rows else array)[...] = pixels_of(spec)
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_files_are_those_of_zarr_byte_for_byte(tmp_path: Path, spec: ArraySpec) -> None:
    folder, _ = written(tmp_path / "here", spec)
    assert files_in(folder) == files_in(by_zarr(tmp_path / "zarr", spec, in_rows=True))
    assert len(files_in(folder)) == 5  # four shards and the metadata


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_zarr_reads_what_is_written_here(tmp_path: Path, spec: ArraySpec) -> None:
    folder, pixels = written(tmp_path, spec)
    found = zarr.open_array(folder, mode="r")[...]
    np.testing.assert_array_equal(found, read_region(open_array(folder), Region(0, 0, *spec.plane), 0))
    assert spec.codec != "zstd" or (found == pixels).all()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_what_zarr_writes_is_read_here(tmp_path: Path, spec: ArraySpec) -> None:
    array = open_array(by_zarr(tmp_path, spec, in_rows=False))
    assert format_of(array) is not None
    whole = zarr.open_array(array.store.root, mode="r")[...]
    for region in (
        Region(0, 0, 1, 1),
        Region(30, 31, 3, 4),
        Region(60, 5, 10, 60),
        Region(0, 0, *spec.plane),
    ):
        np.testing.assert_array_equal(read_region(array, region, 0), whole[(..., *region.slices)])


def test_a_chunk_that_was_left_out_is_filled(tmp_path: Path) -> None:
    spec = SPECS[0]
    create_array(tmp_path, spec)
    folder = tmp_path / array_path(spec.name)
    sparse = zarr.open_array(folder, mode="r+", config={"write_empty_chunks": False})
    sparse[:32, 32:64] = 1
    found = read_region(open_array(folder), Region(0, 0, 64, 64), 0)
    assert (found[:32, 32:] == 1).all()
    assert (found[32:] == spec.fill).all()
    assert (found[:32, :32] == spec.fill).all()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("place", [0.5, -3, -30])
def test_a_flipped_bit_in_chunks_index_or_checksum_raises(
    tmp_path: Path, spec: ArraySpec, place: float
) -> None:
    folder, _ = written(tmp_path, spec)
    shard = next(path for path in folder.rglob("*/0") if path.is_file())
    data = bytearray(shard.read_bytes())
    data[int(place if place < 0 else place * len(data))] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StorageError, match="missing or damaged"):
        read_region(open_array(folder), Region(0, 0, *spec.plane), 0)


@pytest.mark.parametrize("kept_bytes", [0, 3, 100])
def test_a_shard_that_was_cut_raises(tmp_path: Path, kept_bytes: int) -> None:
    folder, _ = written(tmp_path, SPECS[0])
    shard = folder / "c/0/0"
    shard.write_bytes(shard.read_bytes()[:kept_bytes])
    with pytest.raises(StorageError, match="missing or damaged"):
        read_region(open_array(folder), Region(0, 0, 9, 9), 0)


def test_other_formats_are_left_to_zarr(tmp_path: Path) -> None:
    pixels = pixels_of(SPECS[0])
    plain = zarr.create_array(tmp_path / "plain", data=pixels, chunks=(32, 32))
    start = ShardingCodec(chunk_shape=(32, 32), codecs=[BytesCodec(), ZstdCodec()], index_location="start")
    at_start = zarr.create_array(
        tmp_path / "start",
        shape=(100, 70),
        dtype="uint8",
        chunks=(64, 64),
        serializer=start,
        compressors=None,
    )
    at_start[...] = pixels
    for array in (plain, at_start):
        assert format_of(array) is None
        np.testing.assert_array_equal(read_region(array, Region(3, 4, 50, 60), 0), pixels[3:53, 4:64])


def test_an_array_of_another_format_is_not_written(tmp_path: Path) -> None:
    folder = tmp_path / array_path("labels/x/0")
    zarr.create_array(folder, shape=(64, 64), dtype="uint8", chunks=(32, 32))
    with pytest.raises(arrays.InternalError, match="create_array"):
        write_shards(tmp_path, "labels/x/0", Region(0, 0, 64, 64), np.zeros((64, 64), np.uint8))


def flip(data: bytes) -> bytes:
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 4
    return bytes(damaged)


@pytest.mark.parametrize("spec", [SPECS[0], SPECS[3]], ids=["zstd", "jpeg"])
@pytest.mark.parametrize("where", ["pixels", "chunk", "file", "nowhere"])
def test_a_bit_that_flips_on_the_way_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: ArraySpec, where: str
) -> None:
    codec = ZstdChunks if spec.codec == "zstd" else JpegChunks
    encode, put = codec.encode, arrays._put

    def encode_other(self: Any, pixels: Array) -> bytes:
        wrong = pixels.copy()
        wrong[..., 0, 0] ^= 64
        return encode(self, wrong)

    if where == "pixels":
        monkeypatch.setattr(codec, "encode", encode_other)
    elif where == "chunk":
        monkeypatch.setattr(codec, "encode", lambda self, pixels: flip(encode(self, pixels)))
    elif where == "file":
        monkeypatch.setattr(arrays, "_put", lambda path, data: put(path, flip(data)))
    if where == "nowhere" or (where, spec.codec) == ("pixels", "jpeg:90"):
        written(tmp_path, spec)  # which pixels a lossy codec was given cannot be told from its bytes
        return
    with pytest.raises(StorageError, match="other pixels were read back than were written"):
        written(tmp_path, spec)


def test_a_failed_write_leaves_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, pixels = written(tmp_path, SPECS[0])
    before = files_in(folder)

    def fail(source: Path, target: Path) -> None:
        raise OSError(5, "injected")

    monkeypatch.setattr(arrays, "move", fail)
    with pytest.raises(StorageError, match="injected"):
        write_shards(tmp_path, SPECS[0].name, Region(0, 0, 64, 64), pixels[:64, :64] ^ 1)
    assert files_in(folder) == before
