"""Reads come from where they are declared to, and a closed slide opens again."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsipipe.errors import ConfigError, SlideError
from wsipipe.geometry import Region
from wsipipe.pipeline.execution.shard_inputs import ShardInputs, inputs_for
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.stages.stage import Read
from wsipipe.stages.tile import TileParams
from wsipipe.stages.workflow import Workflow
from wsipipe.store.arrays import ArraySpec, create_array, write_shards
from wsipipe.store.result import Result
from wsipipe.tiling.canvas import Canvas


@pytest.fixture(scope="module")
def plan(small_slide: Path, plan_for: Any) -> Plan:
    return plan_for(small_slide, Workflow(name="x", tile=TileParams(image="none")))


@pytest.mark.parametrize("level", [0, 1])
def test_an_image_that_is_not_stored_reads_the_same(plan: Plan, finished: Result, level: int) -> None:
    region = Region(-20, 100, 80, 90)
    with ShardInputs(plan, Path("nowhere")) as sources:
        declared = Read(f"image/{level}", 1 << level, outside=255)
        read = sources.read(declared, region).pixels
        as_stored = sources.read(replace(declared, channels_first=True), region).pixels
    stored = finished.arrays.image[level][:, :60, 100:190]
    np.testing.assert_array_equal(read[20:].transpose(2, 0, 1), stored)
    assert (read[:20] == 255).all()
    np.testing.assert_array_equal(as_stored, read.transpose(2, 0, 1))


def test_a_stored_image_is_read_with_its_channels_first_or_last(
    small_slide: Path, plan_for: Any, tmp_path: Path
) -> None:
    spec = ArraySpec("image/0", (3, 64, 96), "uint8", 255, shard_px=64, chunk_px=32)
    create_array(tmp_path, spec)
    pixels = np.random.default_rng(0).integers(0, 255, spec.shape, np.uint8)
    write_shards(tmp_path, spec.name, Region(0, 0, 64, 96), pixels)
    read, region = Read("image/0", 1, outside=255), Region(3, 5, 40, 91)
    with ShardInputs(plan_for(small_slide, Workflow(name="x")), tmp_path) as sources:
        last = sources.read(read, region).pixels
        first = sources.read(replace(read, channels_first=True), region).pixels
    np.testing.assert_array_equal(first, pixels[:, 3:43, 5:96])
    np.testing.assert_array_equal(last, first.transpose(1, 2, 0))
    assert first.flags.c_contiguous
    assert last.flags.c_contiguous


def test_a_closed_slide_opens_again(plan: Plan, tmp_path: Path) -> None:
    """Another thread may still read while the cache lets go of the slide."""
    sources = inputs_for(plan, tmp_path)
    read, region = Read("canvas", 1), Region(0, 0, 9, 9)
    before = sources.read(read, region).pixels
    for other in ("a", "b"):
        inputs_for(plan, tmp_path / other)
    np.testing.assert_array_equal(sources.read(read, region).pixels, before)
    assert inputs_for(plan, tmp_path) is not sources
    sources.close()
    inputs_for(plan, tmp_path).close()


def test_a_given_mask_covers_the_scanned_area(plan: Plan, tmp_path: Path) -> None:
    """The canvas is larger than the slide: the mask ends where the slide ends."""
    mask = tmp_path / "mask.png"
    Image.fromarray(np.kron([[0, 255], [255, 0]], np.ones((5, 5))).astype(np.uint8)).save(mask)
    grid = replace(plan.facts.grid, shape=(512, 640), offset_px0=(0.0, -128.0))
    given = replace(plan, slide=replace(plan.slide, mask_path=mask), facts=replace(plan.facts, grid=grid))
    found = ShardInputs(given, tmp_path).read(Read("given_mask", 16), Region(0, 0, 32, 40)).pixels
    expected = np.zeros((32, 40), bool)
    expected[:16, 20:36] = expected[16:, 4:20] = True
    np.testing.assert_array_equal(found, expected)


def test_a_mask_that_is_no_picture_is_named(plan: Plan, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    mask.write_text("no picture")
    given = replace(plan, slide=replace(plan.slide, mask_path=mask))
    with pytest.raises(SlideError, match=r"mask\.png is not readable"):
        ShardInputs(given, tmp_path).read(Read("given_mask", 16), Region(0, 0, 32, 32))


def test_a_worker_that_decodes_otherwise_than_planned_is_refused(plan: Plan, tmp_path: Path) -> None:
    other = replace(plan, facts=replace(plan.facts, decoder="other"))
    assert other.id != plan.id
    with pytest.raises(ConfigError, match="decoded by other means"):
        ShardInputs(other, tmp_path).read(Read("canvas", 1), Region(0, 0, 8, 8))


def test_two_threads_read_at_the_same_time(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits inside its read for the other one."""
    both, real = threading.Barrier(2, timeout=30), Canvas.read

    def meeting(canvas: Canvas, region: Region) -> Any:
        both.wait()
        return real(canvas, region)

    monkeypatch.setattr(Canvas, "read", meeting)
    regions = [Region(0, 0, 9, 9), Region(100, 50, 9, 9)]
    with ShardInputs(plan, tmp_path) as sources, ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda region: sources.read(Read("canvas", 1), region).pixels, regions))
    monkeypatch.undo()
    with ShardInputs(plan, tmp_path) as sources:
        for region, pixels in zip(regions, found, strict=True):
            np.testing.assert_array_equal(sources.read(Read("canvas", 1), region).pixels, pixels)


def test_a_slide_that_is_read_is_closed_afterwards(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, may_end = threading.Event(), threading.Event()
    real = Canvas.read

    def slow(canvas: Canvas, region: Region) -> Any:
        reading.set()
        assert may_end.wait(30)
        return real(canvas, region)

    monkeypatch.setattr(Canvas, "read", slow)
    sources = ShardInputs(plan, tmp_path)
    with ThreadPoolExecutor(2) as threads:
        read = threads.submit(sources.read, Read("canvas", 1), Region(0, 0, 9, 9))
        assert reading.wait(30)
        closed = threads.submit(sources.close)
        assert not closed.done()
        may_end.set()
        assert read.result().pixels.shape == (9, 9, 3)
        closed.result(30)
    assert sources._canvas is None
