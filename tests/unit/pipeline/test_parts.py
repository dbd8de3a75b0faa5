"""Parts of a batch have each slide once, and give the results of a whole run."""

import shutil
from pathlib import Path

import pytest

from wsipipe.errors import ConfigError, ExitCode
from wsipipe.pipeline.maintenance import finished_slides, status
from wsipipe.pipeline.parts import Part
from wsipipe.pipeline.run import Resources, run
from wsipipe.pipeline.run_lock import lock_run
from wsipipe.store.result import Result
from wsipipe.tiling.collect import SlideInput


def slides(count: int) -> list[SlideInput]:
    return [SlideInput(f"s-{i:03}", Path(f"{i}.svs"), None, None, "s") for i in range(count)]


@pytest.mark.parametrize("count", [1, 3, 7, 12])
def test_each_slide_is_in_one_part(count: int) -> None:
    """In any order of the inputs, and with at most one slide more in one part than in another."""
    given = slides(10)
    shares = [Part(number, count).share(given) for number in range(1, count + 1)]
    assert sorted(slide.slide_id for share in shares for slide in share) == [s.slide_id for s in given]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert shares == [Part(number, count).share(given[::-1]) for number in range(1, count + 1)]


def test_a_part_as_it_is_typed() -> None:
    assert Part.parse("3/8") == Part(3, 8)
    assert str(Part(3, 8)) == "3/8"
    assert Part.of_stem(Part(3, 8).stem) == Part(3, 8)
    assert Part.of_stem("run") is None


@pytest.mark.parametrize("text", ["", "3", "0/8", "9/8", "3/", "/8", "-1/8", "3/8/1", "a/b", "3 / 8", "3/0"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--part .*: this is no part of a batch\. Give I/N"):
        Part.parse(text)


def test_parts_give_the_results_of_a_whole_run(small_slide: Path, scheduler: str, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    for name in "abc":
        shutil.copy(small_slide, given / f"{name}.svs")
    common = {"settings": ["tile.mpp=2"], "resources": Resources(scheduler=scheduler)}
    whole = run("tiling_only", given, tmp_path / "whole", **common)
    out = tmp_path / "parts"
    found = [run("tiling_only", given, out, **common, part=Part(number, 2)) for number in (1, 2)]
    assert [[slide.status for slide in each.slides] for each in found] == [["done", "done"], ["done"]]
    manifests = {path.name: Result(path).manifest for path in finished_slides(out)}
    assert manifests == {path.name: Result(path).manifest for path in finished_slides(whole.out)}
    assert len(manifests) == 3
    assert sorted(slide["slide_id"] for slide in status(out)["slides"]) == sorted(manifests)
    empty = run("tiling_only", given, out, **common, part=Part(4, 5))
    assert (empty.slides, empty.exit_code) == ((), ExitCode.OK)
    again = run("tiling_only", given, out, **common)
    assert [slide.status for slide in again.slides] == ["kept"] * 3
    assert not list(out.glob("run.*-of-*.json"))


def test_status_sees_which_parts_are_active(tmp_path: Path) -> None:
    from wsipipe.pipeline.reporting.run_record import RunRecord, RunRequest
    from wsipipe.stages.workflow import load_workflow

    request = RunRequest(load_workflow("tiling_only"))
    for part in (Part(1, 2), Part(2, 2)):
        RunRecord(tmp_path, request, part.share(slides(2)), part.batch(slides(2)))
    with lock_run(tmp_path, Part(2, 2)):
        found = status(tmp_path)
    assert [slide["status"] for slide in found["slides"]] == ["interrupted", "waiting"]
    assert found["working"].startswith("part 2/2: process ")
    assert found["notes"] == []
    with lock_run(tmp_path, None):
        assert {slide["status"] for slide in status(tmp_path)["slides"]} == {"waiting"}
