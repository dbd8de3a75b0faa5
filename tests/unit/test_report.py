"""run.json holds everything, report.html is safe to open."""

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

from wsipipe.outcome import SlideOutcome
from wsipipe.report import write_report

PLAN = {"mpp": 0.25, "mpp_source": "vendor", "canvas_shape": [1000, 2000], "shards": {"tile": 2}}
EVIL = "<script>alert(1)</script>.png"
OUTCOMES = [
    SlideOutcome("good-1", Path("good.svs"), "done", plan=PLAN, seconds={"tile": 2.0, "x": 0.0}, nuclei=7),
    SlideOutcome("kept-1", Path("kept.svs"), "kept", plan=PLAN),
    SlideOutcome(EVIL, Path(EVIL), "failed", "SLIDE_UNREADABLE", f"{EVIL} does not open"),
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


def test_a_slide_named_like_a_script_is_only_text(tmp_path: Path) -> None:
    write_report(tmp_path, OUTCOMES, datetime.now(UTC), {"worker 0": 512.0})
    page = Tags((tmp_path / "report.html").read_text())
    assert "script" not in page.tags
    assert f"{EVIL} does not open" in page.text


def test_the_page_tells_speed_and_memory(tmp_path: Path) -> None:
    write_report(tmp_path, OUTCOMES, datetime.now(UTC), {"worker 0": 512.0, "worker 1": 640.0})
    page = Tags((tmp_path / "report.html").read_text())
    assert "640.0 MB" in page.text
    assert "1.00" in page.text
    assert "0.2500 (vendor)" in page.text
    assert page.tags.count("img") == 2


def test_the_json_holds_every_slide(tmp_path: Path) -> None:
    write_report(tmp_path, OUTCOMES, datetime.now(UTC), {})
    run = json.loads((tmp_path / "run.json").read_text())
    assert [slide["status"] for slide in run["slides"]] == ["done", "kept", "failed"]
    assert run["slides"][2]["path"] == EVIL
    assert run["versions"]["zarr"]
