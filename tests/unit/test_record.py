"""run.json holds everything at every moment, report.html is safe to open."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from wsipipe.config import load_workflow
from wsipipe.errors import StorageError
from wsipipe.outcome import SlideOutcome
from wsipipe.record import Asked, Record, asked_of, input_of, read_record
from wsipipe.tiling.collect import SlideInput

PLAN = {"mpp": 0.25, "mpp_source": "vendor", "canvas_shape": [1000, 2000], "shards": {"tile": 2}}
EVIL = "<script>alert(1)</script>.png"
OUTCOMES = [
    SlideOutcome("good-1", Path("good.svs"), "done", plan=PLAN, seconds={"tile": 2.0, "x": 0.0}, nuclei=7),
    SlideOutcome("kept-1", Path("kept.svs"), "kept", plan=PLAN),
    SlideOutcome(
        EVIL,
        Path(EVIL),
        "failed",
        "SLIDE_UNREADABLE",
        f"{EVIL} does not open",
        place={"stage": "tile", "y": 512},
        log=("12:00:00 tile 1/4", EVIL),
    ),
]


class Tags(HTMLParser):
    """Names of the tags, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def written(out: Path, outcomes: list[SlideOutcome] = OUTCOMES, **memory: float) -> dict:
    inputs = [SlideInput(each.slide_id, each.path, 0.5, None, each.slide_id) for each in outcomes]
    record = Record(out, Asked(load_workflow("tiling_only"), (0, 0, 9, 9)), inputs)
    for outcome in outcomes:
        record.update(outcome)
    record.end(memory)
    return read_record(out)


def test_a_slide_named_like_a_script_is_only_text(tmp_path: Path) -> None:
    written(tmp_path, one=512.0)
    text = (tmp_path / "report.html").read_text()
    page = Tags(text)
    assert "script" not in page.tags
    assert f"{EVIL} does not open" in page.text
    assert "stage tile y 512" in page.text
    assert "default-src 'none'" in text


def test_the_page_tells_speed_and_memory(tmp_path: Path) -> None:
    written(tmp_path, one=512.0, two=640.0)
    page = Tags((tmp_path / "report.html").read_text())
    assert "640.0 MB" in page.text
    assert "1.00" in page.text
    assert "0.2500 (vendor)" in page.text
    assert page.tags.count("img") == 2


def test_the_json_holds_every_slide(tmp_path: Path) -> None:
    run = written(tmp_path)
    assert [slide["status"] for slide in run["slides"]] == ["done", "kept", "failed"]
    assert [SlideOutcome.from_json(slide) for slide in run["slides"]] == OUTCOMES
    assert run["versions"]["zarr"]
    assert run["ended"]


def test_what_was_asked_comes_back(tmp_path: Path) -> None:
    run = written(tmp_path)
    asked = asked_of(run, run["slides"][0])
    assert (asked.workflow, asked.region) == (load_workflow("tiling_only"), (0, 0, 9, 9))
    assert input_of(run["slides"][0]) == SlideInput("good-1", Path("good.svs"), 0.5, None, "good-1")


def test_another_run_leaves_other_slides_in_the_record(tmp_path: Path) -> None:
    written(tmp_path)
    run = written(tmp_path, [SlideOutcome("new-1", Path("new.svs"), "failed", "MODEL", "no")])
    assert [slide["slide_id"] for slide in run["slides"]] == ["good-1", "kept-1", EVIL, "new-1"]


def test_a_run_that_is_killed_leaves_its_record(tmp_path: Path) -> None:
    inputs = [SlideInput(f"s-{i}", Path(f"{i}.svs"), None, None, "s") for i in range(2)]
    record = Record(tmp_path, Asked(load_workflow("tiling_only")), inputs)
    record.update(SlideOutcome("s-0", Path("0.svs"), "running"))
    run = read_record(tmp_path)
    assert [slide["status"] for slide in run["slides"]] == ["running", "waiting"]
    assert run["ended"] is None


def test_no_record_and_a_damaged_one_say_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no run\.json"):
        read_record(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        read_record(tmp_path)
