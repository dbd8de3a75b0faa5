"""Seconds, bytes and memory of shards add up, and their bars have the right widths."""

from pathlib import Path
from typing import Any

import pytest

from wsipipe.pipeline.reporting.html_report import machine_facts, write_report
from wsipipe.pipeline.reporting.usage import Usage, wall_shares
from wsipipe.pipeline.reporting.usage_bars import usage_bars

ONE = Usage(1.0, 4.0, 3.5, 0.5, 1.0, 0.5, 100, 300.0, 2.0)
TWO = Usage(0.0, 6.0, 6.0, 0.0, 0.0, 0.0, 50, 200.0, 4.0)


def test_all_is_added_but_the_peak() -> None:
    assert Usage(1.0, 10.0, 9.5, 0.5, 1.0, 0.5, 150, 300.0, 6.0) == ONE + TWO
    assert (ONE + Usage(on_gpu=True)).on_gpu


def test_the_entry_has_what_follows_from_the_numbers() -> None:
    entry = ONE.as_json()
    assert (entry["busy_s"], entry["mpx_per_busy_s"], entry["gpu_busy"]) == (4.0, 0.5, None)
    assert "on_gpu" not in entry
    assert Usage().as_json()["mpx_per_busy_s"] == 0.0


def test_a_gpu_that_waits_is_not_busy() -> None:
    """Two of five seconds: the others went to input, loading, output and waiting."""
    assert (ONE + Usage(on_gpu=True)).as_json()["gpu_busy"] == pytest.approx(0.4)


def test_the_time_of_a_slide_is_divided_by_busy_seconds() -> None:
    assert wall_shares({"a": ONE, "b": TWO}, 5.0) == {"a": 2.0, "b": 3.0}
    assert wall_shares({"a": Usage(), "b": Usage()}, 5.0) == {"a": 2.5, "b": 2.5}


def test_the_longest_bar_has_the_full_width() -> None:
    bars = usage_bars({"a": ONE.as_json(), "b": (ONE + TWO).as_json()})
    assert bars["a"] == [
        ("computing", 2.0, pytest.approx(100 * 2 / 11)),
        ("reading", 0.5, pytest.approx(100 * 0.5 / 11)),
        ("loading", 1.0, pytest.approx(100 / 11)),
        ("writing", 0.5, pytest.approx(100 * 0.5 / 11)),
        ("waiting", 1.0, pytest.approx(100 / 11)),
    ]
    assert sum(width for _, _, width in bars["b"]) == pytest.approx(100)


def test_without_time_there_is_no_bar() -> None:
    assert usage_bars({}) == {}
    assert usage_bars({"a": Usage().as_json()}) == {"a": []}


def page(out: Path, **more: Any) -> str:
    """The report of one finished slide."""
    slide = {"slide_id": "a", "path": "/a.svs", "status": "done", "code": "", "message": "", "place": {}}
    plan = {"mpp": 0.25, "mpp_source": "vendor", "canvas_shape": [1000, 2000]}
    slide |= {"log": [], "plan": plan, "seconds": {"tile": 2.0}, "nuclei": None}
    write_report(
        out, machine_facts() | {"began": "", "ended": "", "peak_memory_mb": {}, "slides": [slide | more]}
    )
    return (out / "report.html").read_text()


def test_the_report_shows_what_workers_did(tmp_path: Path) -> None:
    used = Usage(1.0, 3.0, 2.9, 1.0, 0.0, 0.5, 2_500_000, 321.0, 2.0, on_gpu=True)
    text = page(tmp_path, usage={"tile": used.as_json()})
    assert '<td class="number">2.5</td>\n<td class="number">321</td>' in text
    assert "38 %" in text
    assert 'class="reading" style="width:25.00%"' in text
    assert 'class="loading" style' not in text


def test_a_slide_of_an_earlier_version_is_shown_without(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert '<th scope="row">tile</th>' in text
    assert '<td class="number">2.0</td>\n<td class="number">1.00</td>\n<td class="number">—</td>' in text
