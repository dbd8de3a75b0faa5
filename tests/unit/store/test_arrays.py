"""Shards are written whole, read back, and never mistaken for background."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from wsipipe.errors import StorageError
from wsipipe.geometry import Array, Region
from wsipipe.store import manifest
from wsipipe.store.arrays import (
    RESULT,
    ArraySpec,
    array_path,
    create_array,
    open_array,
    read_region,
    write_shards,
)

SPEC = ArraySpec("labels/x/0", (100, 70), "uint8", 255, shard_px=64, chunk_px=32)
WHOLE = Region(0, 0, 100, 70)


@pytest.fixture
def pixels() -> Array:
    return np.random.default_rng(0).integers(0, 4, SPEC.shape, np.uint8)


def made(work: Path, spec: ArraySpec = SPEC) -> Path:
    create_array(work, spec)
    return work / array_path(spec.name)


def test_shards_at_the_edge_read_back(tmp_path: Path, pixels: Array) -> None:
    folder = made(tmp_path)
    files = write_shards(tmp_path, SPEC.name, WHOLE, pixels)
    assert [file.path.rsplit("/c/")[1] for file in files] == ["0/0", "0/1", "1/0", "1/1"]
    np.testing.assert_array_equal(open_array(folder)[...], pixels)


def test_the_same_pixels_make_the_same_file(tmp_path: Path, pixels: Array) -> None:
    made(tmp_path)
    first = write_shards(tmp_path, SPEC.name, WHOLE, pixels)
    assert write_shards(tmp_path, SPEC.name, WHOLE, pixels) == first


def test_one_shard_is_one_file_and_no_other(tmp_path: Path, pixels: Array) -> None:
    folder = made(tmp_path)
    corner = Region(64, 64, 36, 6)
    write_shards(tmp_path, SPEC.name, corner, pixels[corner.slices])
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("c/*/*")] == ["c/1/1"]


def test_a_missing_shard_raises(tmp_path: Path, pixels: Array) -> None:
    folder = made(tmp_path)
    left = Region(0, 0, 64, 64)
    write_shards(tmp_path, SPEC.name, left, pixels[left.slices])
    np.testing.assert_array_equal(read_region(open_array(folder), left, 0), pixels[left.slices])
    with pytest.raises(StorageError, match="shard is missing or damaged"):
        read_region(open_array(folder), left.grown(1), 0)


def test_sister_zarr_by_itself_reads_a_missing_shard_as_fill(tmp_path: Path) -> None:
    assert (zarr.open_array(made(tmp_path), mode="r")[...] == SPEC.fill).all()


def test_a_shard_of_the_fill_value_is_kept(tmp_path: Path) -> None:
    folder = made(tmp_path)
    write_shards(tmp_path, SPEC.name, WHOLE, np.full(SPEC.shape, 255, np.uint8))
    assert (open_array(folder)[...] == 255).all()


@pytest.mark.parametrize("codec", ["zstd", "jpeg:90"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, codec: str) -> None:
    spec = ArraySpec("image/0", (3, 64, 64), "uint8", 255, 64, 32, codec)
    folder = made(tmp_path, spec)
    picture = np.random.default_rng(1).integers(0, 255, spec.shape, np.uint8)
    files = write_shards(tmp_path, spec.name, Region(0, 0, 64, 64), picture)
    manifest.write(tmp_path, manifest.build("plan", files))
    assert manifest.damaged(tmp_path / RESULT) == []
    shard = tmp_path / files[0].path
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 16
    shard.write_bytes(data)
    with pytest.raises(StorageError):
        read_region(open_array(folder), Region(0, 0, 64, 64), 0)
    assert manifest.damaged(tmp_path / RESULT) == ["slide.zarr/0/c/0/0/0"]


def test_jpeg_comes_back_close(tmp_path: Path) -> None:
    spec = ArraySpec("image/0", (3, 96, 64), "uint8", 255, 64, 32, "jpeg:95")
    folder = made(tmp_path, spec)
    y, x = np.indices((96, 64))
    picture = np.stack([100 + y, 200 - x, 90 + (x + y) // 2]).astype(np.uint8)
    files = write_shards(tmp_path, spec.name, Region(0, 0, 96, 64), picture)
    found = open_array(folder)[...]
    assert np.abs(found.astype(int) - picture).max() <= 6
    assert len(files) == 2


def test_outside_of_the_array_has_the_asked_value(tmp_path: Path, pixels: Array) -> None:
    folder = made(tmp_path)
    write_shards(tmp_path, SPEC.name, WHOLE, pixels)
    array = open_array(folder)
    around = read_region(array, WHOLE.grown(2), 7)
    np.testing.assert_array_equal(around[2:-2, 2:-2], pixels)
    assert (around[:2] == 7).all()
    assert (read_region(array, Region(-9, 3, 5, 5), 7) == 7).all()


def test_pixels_that_do_not_fit_the_type_are_refused(tmp_path: Path, pixels: Array) -> None:
    made(tmp_path)
    with pytest.raises(StorageError, match="other pixels were read back"):
        write_shards(tmp_path, SPEC.name, WHOLE, pixels.astype(np.int64) + 256)


def test_channels_lead(tmp_path: Path) -> None:
    spec = replace(SPEC, name="probabilities/x/0", shape=(5, 100, 70))
    folder = made(tmp_path, spec)
    maps = np.random.default_rng(2).integers(0, 250, spec.shape, np.uint8)
    write_shards(tmp_path, spec.name, WHOLE, maps)
    np.testing.assert_array_equal(read_region(open_array(folder), WHOLE, 0), maps)
