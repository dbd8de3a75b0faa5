"""The report shows types and positivity of nuclei, where they were counted."""

from pathlib import Path
from typing import Any

import pytest

from wsipipe.pipeline.reporting import html_report
from wsipipe.pipeline.reporting.html_report import machine_facts, write_report
from wsipipe.pipeline.reporting.outcome import SlideOutcome

SUMMARY = {
    "types": {"epithelial": {"nuclei": 12, "per_mm2": 34.5}, "<b>": {"nuclei": 0, "per_mm2": None}},
    "positivity": {"nuclei": {"negative": 3, "1+": 2}, "positive_percent": 40.0, "h_score": 61.5},
    "tissue_mm2": 0.35,
}


def report(folder: Path, **more: Any) -> str:
    slide = SlideOutcome("s", folder / "s.svs", "done", nuclei=12, **more).as_json()
    run: Any = machine_facts() | {"began": "", "ended": "", "peak_memory_mb": {}, "slides": [slide]}
    write_report(folder, run)
    return (folder / "report.html").read_text()


def test_counts_are_shown_and_names_escaped(tmp_path: Path) -> None:
    text = report(tmp_path, nuclei_summary=SUMMARY)
    assert "<td>epithelial</td><td>12</td><td>34.5</td>" in text
    assert "<td>&lt;b&gt;</td><td>0</td><td></td>" in text
    assert "DAB: 40.0 % of the nuclei are positive, H-score\n61.5\n(negative 3, 1+ 2)" in text


def test_without_counts_nothing_is_shown(tmp_path: Path) -> None:
    text = report(tmp_path)
    assert "type of nucleus" not in text
    assert "DAB" not in text
    assert "nuclei_summary" not in SlideOutcome("s", tmp_path, "done").as_json()


def test_a_library_of_another_name_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_report, "_LIBRARIES", ("numpy", "no-such-package"))
    versions = machine_facts()["versions"]
    assert versions["no-such-package"] == "not known"
    assert versions["numpy"][0].isdigit()
