"""The page of a batch lists slides, failures with each remedy once, and warnings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsipipe.pipeline.reporting import html_report
from wsipipe.pipeline.reporting.batch_rows import cause_and_remedy
from wsipipe.pipeline.reporting.html_report import machine_facts, write_report
from wsipipe.pipeline.reporting.slide_page import write_slide_page

Make = Callable[..., Any]
CAPTION = "One row for each slide; the name leads to its page"
MISSING = "{}: cannot be opened: it is empty. Copy the file again, and check the disk."


def report(folder: Path, run: Any) -> str:
    write_report(folder, run)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_slides_failures_and_warnings(
    tmp_path: Path, content: dict[str, Any], entry: Make, run_of: Make, parsed: Make
) -> None:
    done = entry(nuclei=1234, codes=("PEN", "PEN"), sample_id="s")
    (tmp_path / "s-1").mkdir()
    (tmp_path / "s-1" / "summary.csv").write_text("class,area_mm2,nuclei_per_mm2\nall tissue,0.4,3085.0\n")
    (tmp_path / "page.json").write_text(json.dumps(content))
    write_slide_page(tmp_path, tmp_path / "page.json", done, machine_facts())
    failed = [
        entry(name, "failed", code="SLIDE_UNREADABLE", message=MISSING.format(f"/slides/{name}.svs"))
        for name in ("f-1", "f-2")
    ]
    failed.append(entry("f-3", "failed", code="MPP", message="No um/px. Give --mpp.", log=("12:00 <x>",)))
    asked = {"a": {"chosen": {"name": "nuclei", "segment": {"precision": "float32"}}, "region": None}}
    text = report(tmp_path, run_of(done, *failed, asked=asked, notes=["part 2 is missing"]))
    page = parsed(text)
    assert page.faults() == []
    rows = page.tables[CAPTION]
    assert rows[1] == [
        *("", "s-1", "s", "done WARNING PEN", "0.40", "1,234", "3,085", "0.2500 (vendor)", "", "2.5"),
    ]
    assert [row[3] for row in rows[2:]] == ["failed SLIDE_UNREADABLE"] * 2 + ["failed MPP"]
    assert text.count("Copy the file again, and check the disk.") == 1
    assert "f-2.svs: cannot be opened: it is empty" in page.text
    assert "SLIDE_UNREADABLE · 2 slides. What to do:" in page.text
    assert "WARNING PEN · 1 slide " in page.text
    assert "12:00 &lt;x&gt;" in text
    assert "NOTE part 2 is missing" in page.text
    assert ["workflow nuclei", "segment.precision=float32"] in page.tables["Requests and weights"]
    links = [each["href"] for tag, each in page.elements if tag == "a"]
    assert "reports/s-1.html" in links
    assert "reports/f-1.html" not in links
    images = [each["src"] for tag, each in page.elements if tag == "img"]
    assert images == ["reports/s-1.thumbnail.jpg"]
    values = [each.get("data-value") for tag, each in page.elements if tag == "td" and "data-value" in each]
    assert values[:5] == ["0.4", "1234", "3085.0", "0.25", "2.5"]


def test_scores_have_columns_where_there_are_some(
    tmp_path: Path, entry: Make, run_of: Make, parsed: Make
) -> None:
    (tmp_path / "s-1").mkdir()
    text = "class,area_mm2,positive_percent,h_score\nall tissue,0.4,40.0,61.5\n"
    (tmp_path / "s-1" / "summary.csv").write_text(text)
    heads, row = parsed(report(tmp_path, run_of(entry(nuclei=3)))).tables[CAPTION]
    assert dict(zip(heads, row, strict=True))["H-score"] == "62"
    heads, _ = parsed(report(tmp_path, run_of(entry("s-2", nuclei=3)))).tables[CAPTION]
    assert "H-score" not in heads


def test_messages_are_split_where_the_remedy_begins(entry: Make) -> None:
    failed = entry("a", "failed", message=MISSING.format("/slides/a.svs"))
    assert cause_and_remedy(failed) == (
        "a.svs: cannot be opened: it is empty",
        "Copy the file again, and check the disk.",
    )
    assert cause_and_remedy(entry("a", "failed", message="broken")) == ("broken", "")
    clause = entry("a", "failed", message="/slides/a.svs: of no format; docs list them; convert it.")
    assert cause_and_remedy(clause) == ("a.svs: of no format", "docs list them; convert it.")
    version = entry("a", "failed", message="a 1.5 x b. Upgrade to 2.0. Or wait.")
    assert cause_and_remedy(version) == ("a 1.5 x b", "Upgrade to 2.0. Or wait.")


def test_levels_of_a_pyramid_are_one_stage(tmp_path: Path, entry: Make, run_of: Make, parsed: Make) -> None:
    seconds = {"pyramid image/1": 1.0, "pyramid image/2": 0.5, "tile": 2.0}
    slides = [entry(name, seconds=seconds, usage={}) for name in ("a", "b")]
    rows = parsed(report(tmp_path, run_of(*slides))).tables["Sum over all slides, in the order of the flow"]
    assert [row[:3] for row in rows[1:]] == [["tile", "", "4.0"], ["pyramid image", "", "3.0"]]
    assert [row[3] for row in rows[1:]] == ["1.00", "1.33"]


def test_entries_without_counts_have_none(entry: Make) -> None:
    assert "nuclei_summary" not in entry()


def test_a_library_of_another_name_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_report, "_LIBRARIES", ("numpy", "no-such-package"))
    versions = machine_facts()["versions"]
    assert versions["no-such-package"] == "not known"
    assert versions["numpy"][0].isdigit()


def test_chosen_weights_are_counted(tmp_path: Path, entry: Make, run_of: Make, parsed: Make) -> None:
    slides = [entry(f"s-{number}") for number in range(4)]
    for slide, name in zip(slides, ["a", "b", "a"], strict=False):
        slide["plan"]["choice"] = {"weights": name, "quality": "fast", "why": "so"}
    rows = parsed(report(tmp_path, run_of(*slides))).tables["Requests and weights"]
    counted = "a: 2 slides, b: 1 slide; the page of each slide says why"
    assert ["weights chosen for each slide", counted] in rows
    plain = parsed(report(tmp_path, run_of(entry()))).tables["Requests and weights"]
    assert [row for row in plain if row[0].startswith("weights chosen")] == []
