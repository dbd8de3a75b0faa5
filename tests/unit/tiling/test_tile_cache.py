"""Decoded tiles are kept within bounds, and threads share work and tiles."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from wsipipe.common.thread_work import for_each, thread_count
from wsipipe.geometry import Region
from wsipipe.tiling.readers.tile_cache import TileCache
from wsipipe.tiling.slide import open_slide

TILE = np.zeros((4, 4, 3), np.uint8)


def test_tiles_unused_for_longest_go_first():
    cache = TileCache(3 * TILE.nbytes)
    for key in "abc":
        cache.put(key, TILE, 16)
    assert cache.get("a") is TILE
    cache.put("d", TILE, 16)
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]


def test_a_tile_goes_when_all_of_it_was_used():
    cache = TileCache()
    cache.put("a", TILE, 10)
    cache.spend("a", 6)
    assert cache.get("a") is TILE
    cache.spend("a", 4)
    assert cache.get("a") is None
    assert len(cache) == 0
    cache.spend("a", 1)


def test_what_cannot_be_used_or_is_too_large_is_not_kept():
    cache = TileCache(TILE.nbytes - 1)
    cache.put("a", TILE, 16)
    assert len(cache) == 0
    cache = TileCache()
    cache.put("a", TILE, 0)
    assert len(cache) == 0


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_work_is_done_once_for_each_item(threads):
    done = []
    for_each(done.append, range(100), threads)
    assert sorted(done) == list(range(100))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_ends_the_work(threads):
    done = []

    def work(item):
        if item == 5:
            raise ValueError("five")
        done.append(item)

    with pytest.raises(ValueError, match="five"):
        for_each(work, range(10000), threads)
    assert len(done) < 9999


def test_workers_use_their_share_of_the_processor(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert thread_count() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert 1 <= thread_count() <= (os.cpu_count() or 1)


@pytest.mark.usefixtures("compiled")
def test_threads_may_share_a_slide(made, tmp_path):
    path = made.write_aperio(tmp_path / "a.svs", made.picture(512, 512))
    regions = list(Region(0, 0, 512, 512).blocks(90)) * 3
    with open_slide(path) as slide, ThreadPoolExecutor(4) as pool:
        whole = slide.read(Region(0, 0, 512, 512), 0.25)
        found = list(pool.map(lambda region: slide.read(region, 0.25), regions))
    for region, pixels in zip(regions, found, strict=True):
        np.testing.assert_array_equal(pixels, whole[region.slices])
