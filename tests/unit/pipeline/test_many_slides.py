"""A batch of 1,000 slides is planned, recorded and reported at a cost that grows with their number only."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from wsipipe.pipeline import maintenance
from wsipipe.pipeline.cluster.peak_memory import highest_mb
from wsipipe.pipeline.maintenance import status
from wsipipe.pipeline.parts import Part
from wsipipe.pipeline.reporting import paced_writes
from wsipipe.pipeline.reporting.part_records import read_record
from wsipipe.tiling.collect import SlideInput

CHANGES = 8
"""Changes of a stub slide in the record: it begins, is planned, tells five networks, and ends."""


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark whose slides take no time, with short plans."""
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "many_slides.py"
    spec = importlib.util.spec_from_file_location("many_slides", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    monkeypatch.setattr(found, "PARAMETERS", 0)
    return found


def slides(count: int) -> list[SlideInput]:
    return [SlideInput(f"s-{i:04}", Path(f"/s/{i}.svs"), None, None, f"s-{i}") for i in range(count)]


def test_1000_slides(stubs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []
    found = maintenance._works
    monkeypatch.setattr(maintenance, "_works", lambda out: looks.append(out) or found(out))
    before_mb = highest_mb()
    with stubs.counted_writes() as sizes:
        assert stubs.run_stub_slides(tmp_path, slides(1000)) == 1000
    assert len(status(tmp_path)["slides"]) == 1000
    after_mb = highest_mb()
    # Written after each of its 8,000 changes, the record alone would take half an hour.
    assert len(sizes) < 40
    assert after_mb - before_mb < 200
    assert looks == [tmp_path]
    assert {slide["status"] for slide in read_record(tmp_path)["slides"]} == {"done"}
    page = (tmp_path / "report.html").read_text()
    assert page.count('<tr id="s-') == 1000
    # Pictures are files of their own, loaded when they come into view.
    assert len(page) < 1_500_000


def test_parts_write_their_own_slides_only(stubs: ModuleType, tmp_path: Path) -> None:
    with stubs.counted_writes() as sizes:
        done = [stubs.run_stub_slides(tmp_path, slides(40), Part(number, 4)) for number in range(1, 5)]
    assert done == [10, 10, 10, 10]
    assert len(read_record(tmp_path)["slides"]) == 40
    with stubs.counted_writes() as of_whole:
        stubs.run_stub_slides(tmp_path / "whole", slides(40))
    assert max(sizes) < of_whole[-1] / 3


def test_sister_each_change_would_be_a_write(
    stubs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paced_writes, "PAUSE", 0)
    with stubs.counted_writes() as sizes:
        stubs.run_stub_slides(tmp_path, slides(10))
    assert len(sizes) == 1 + CHANGES * 10 + 1
