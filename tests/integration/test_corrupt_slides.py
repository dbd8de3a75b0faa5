"""P3 with damaged slides: truncated, flipped, overwritten or emptied files never stop other slides."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from wsipipe.pipeline.options import RunPolicy
from wsipipe.pipeline.planning.checksums import write_sums
from wsipipe.pipeline.run import Resources, run
from wsipipe.store.result import Result
from wsipipe.synth.writer import make_slide
from wsipipe.tiling.collect import collect

pytestmark = pytest.mark.timeout(1200)
SMALL = ["tile.mpp=1", "tile.shard_px=256", "tile.chunk_px=128"]
CODES = {"SLIDE_UNREADABLE", "MPP_MISSING", "STORAGE_FULL", "SLIDE_CHANGED"}


def corruptions(data: bytes, tiles: list[tuple[int, int]], heads: list[int], each: int) -> Iterator[tuple]:
    """Damage a file in ``each`` ways of every kind; yields (name, bytes)."""
    draw = np.random.default_rng(4)
    for i in range(each):
        yield f"cut-{i}", data[: len(data) * (i + 1) // (each + 1)]
    for i in range(each):
        yield f"bit-{i}", changed(data, int(draw.integers(len(data))), lambda old: bytes([old[0] ^ 4]), 1)
    for i in range(each):
        at = int(draw.integers(len(data) - 600))
        yield f"garbage-{i}", changed(data, at, lambda old: draw.bytes(len(old)), 512)
    for i in range(each):
        start, size = tiles[int(draw.integers(len(tiles)))]
        yield f"zeroed-{i}", changed(data, start, lambda old: bytes(len(old)), size)
    for i in range(each):
        at = heads[i % len(heads)] + int(draw.integers(150))
        yield f"directory-{i}", changed(data, at, lambda old: draw.bytes(len(old)), 4)


def changed(data: bytes, at: int, change: Any, size: int) -> bytes:
    return data[:at] + change(data[at : at + size]) + data[at + size :]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of 60 damaged and three intact slides."""
    folder = tmp_path_factory.mktemp("harmed")
    make_slide(folder / "a-good.svs", 512, seed=5, truth=False)
    data = (folder / "a-good.svs").read_bytes()
    with tifffile.TiffFile(folder / "a-good.svs") as tiff:
        tiles = [
            (at, size)
            for page in tiff.pages
            for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
        heads = [page.offset for page in tiff.pages]
    for name, harmed in corruptions(data, tiles, heads, 12):
        (folder / f"{name}.svs").write_bytes(harmed)
    for name in ("d-good", "z-good"):
        (folder / f"{name}.svs").write_bytes(data)
    return folder


def pixels(result: Result) -> dict[str, str]:
    return result.manifest["pixels"]


def test_damaged_slides_fail_alone_and_with_a_code(slides: Path, scheduler: str, tmp_path: Path) -> None:
    done = run(
        "tiling_only",
        slides,
        tmp_path / "out",
        settings=SMALL,
        resources=Resources(scheduler=scheduler),
        policy=RunPolicy(shard_timeout_s=100),
    )
    failed = Counter(slide.code for slide in done.slides if slide.status == "failed")
    assert len(done.slides) == 63
    assert set(failed) <= CODES, [slide.message for slide in done.slides if slide.code not in {*CODES, ""}]
    assert failed["SLIDE_UNREADABLE"] >= 15
    assert all(slide.message and slide.log for slide in done.slides if slide.status == "failed")
    good = [each for each in done.results() if "-good" in each.folder.name]
    assert len(good) == 3
    assert pixels(good[0]) == pixels(good[1]) == pixels(good[2])
    # The sister: some harmed slides give other pixels without a word, which only checksums can tell.
    assert any(pixels(each) != pixels(good[0]) for each in done.results())


def test_with_checksums_all_damage_is_found(slides: Path, scheduler: str, tmp_path: Path) -> None:
    good = (slides / "a-good.svs").read_bytes()
    whole = tmp_path / "whole"
    whole.mkdir()
    for path in slides.glob("*.svs"):
        (whole / path.name).write_bytes(good)
    write_sums(whole / "SHA256SUMS", collect([whole]))
    for path in slides.glob("*.svs"):
        (whole / path.name).write_bytes(path.read_bytes())
    done = run(
        "tiling_only",
        whole,
        tmp_path / "out",
        settings=SMALL,
        resources=Resources(scheduler=scheduler),
        policy=RunPolicy(checksums=whole / "SHA256SUMS"),
    )
    harmed = [slide for slide in done.slides if "-good" not in slide.slide_id]
    assert Counter(slide.code for slide in harmed if slide.path.read_bytes() != good) == {"SLIDE_CHANGED": 60}
    assert len(done.results()) == 3
