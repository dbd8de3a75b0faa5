"""The page of a slide has exact values, can be read alone and by everyone, and escapes names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsipipe.errors import NoResultError
from wsipipe.pipeline.reporting.html_report import machine_facts
from wsipipe.pipeline.reporting.slide_page import (
    add_certificate,
    page_path,
    slide_page,
    thumbnail_path,
    write_slide_page,
)
from wsipipe.tiling.search import search

SUMMARY = {
    "types": {"epithelial": {"nuclei": 12, "per_mm2": 34.5}, "<b>": {"nuclei": 0, "per_mm2": None}},
    "positivity": {"nuclei": {"1+": 2, "negative": 3}, "positive_percent": 40.0, "h_score": 61.5},
    "tissue_mm2": 0.35,
}
Make = Callable[..., Any]


@pytest.fixture
def page(content: dict[str, Any], entry: Make) -> Make:
    """Makes the page of a slide."""

    def make(slide: Any = None, **more: Any) -> str:
        return slide_page(content | more, slide or entry(nuclei=1234), machine_facts(), "today")

    return make


def test_it_can_be_read_alone_and_by_everyone(page: Make, entry: Make, parsed: Make) -> None:
    assert parsed(page()).faults() == []
    full = entry(nuclei=5, nuclei_summary=SUMMARY, quality={"fold_share": 0.25}, codes=("PEN", "PEN"))
    assert parsed(page(full)).faults() == []
    bare = {"density": None, "labels": [], "galleries": []}
    assert parsed(page(entry(), **bare)).faults() == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('<p id="a"></p><p id="a"></p>', "id a twice"),
        ('<a href="#b">b</a>', "no element #b"),
        ('<a href="https://a.b">b</a>', "a leads to https://a.b"),
        ('<img src="a.png">', "img without alt"),
        ('<svg role="img"></svg>', "svg without a name"),
        ("<table><tr><th>a</th></tr></table>", "th without scope"),
        ('<script src="a.js"></script>', "script loads another file"),
        ("<p>", "p is not closed"),
    ],
)
def test_sister_a_faulty_page_is_found(parsed: Make, text: str, fault: str) -> None:
    assert parsed(text).faults() == [fault]


def test_areas_and_measures_are_exact(page: Make, parsed: Make) -> None:
    tables = parsed(page()).tables
    assert tables["Tissue class: classes of colon"] == [
        ["class", "area, mm²", "share"],
        ["TUM tumour", "0.300", "75.0 %"],
        ["STR", "0.100", "25.0 %"],
    ]
    assert "Not found: ADI." in page()
    assert tables["From summary.csv, which has more measures"] == [
        ["class or region", "area mm²", "nuclei", "density nuclei per mm²"],
        ["all tissue", "0.400", "1,234", "3,085"],
        ["TUM", "0.300", "1,200", "4,000"],
        ["region: <b>", "0.000", "0", "—"],
    ]
    found = dict(row for row in tables["Weights and their certificate"] if len(row) == 2)
    assert found["licence"] == "CC BY-NC-SA 4.0 no commercial use. Research."
    assert found["organ and stain"] == "colon, H&E"
    assert found["certificate"] == "passed receptive field: 9 px"
    assert found["network"] == "gmr_unet at 0.5 µm per pixel, precision bfloat16"


def test_stages_come_in_the_order_of_the_flow(page: Make, parsed: Make) -> None:
    caption = "Stages in the order of the flow; bars of one length have the same seconds"
    rows = parsed(page()).tables[caption][1:]
    assert [row[0] for row in rows] == ["tissue", "tile"]
    assert rows[1] == ["tile", "", "2.0", "1.00", "2.5", "321", "—"]
    assert 'aria-label="computing 1.5 s, reading 1.0 s, writing 0.5 s, waiting 1.0 s"' in page()


def test_types_and_positivity(page: Make, entry: Make, parsed: Make) -> None:
    found = parsed(page(entry(nuclei=12, nuclei_summary=SUMMARY)))
    assert found.tables["Nuclei by type"][1:] == [["epithelial", "12", "34.5"], ["<b>", "0", "—"]]
    assert found.tables["Nuclei by intensity"][1:] == [["negative", "3", "60.0 %"], ["1+", "2", "40.0 %"]]
    assert "40.0 % of the nuclei are positive, H-score 61.5 of 300" in found.text
    without = parsed(page())
    assert "Nuclei by type" not in without.tables
    assert "H-score" not in without.text


def test_names_are_escaped(content: dict[str, Any], page: Make, entry: Make) -> None:
    content["request"]["extra"] = {"<script>": "</td><img src=x>"}
    text = page(entry(nuclei=3, codes=("<i>",)))
    assert "<script>" not in text
    assert "<img src=x>" not in text
    assert "WARNING &lt;i&gt;" in text


def test_the_scale_bar_has_a_round_length(page: Make) -> None:
    assert ">200 µm</text>" in page()


def test_pages_are_written_beside_the_results(
    content: dict[str, Any], entry: Make, tmp_path: Path, parsed: Make
) -> None:
    import json

    (tmp_path / "page.json").write_text(json.dumps(content))
    slide = entry(nuclei=3)
    write_slide_page(tmp_path, tmp_path / "page.json", slide, machine_facts())
    assert parsed(page_path(tmp_path, "s-1").read_text(encoding="utf-8")).faults() == []
    assert thumbnail_path(tmp_path, "s-1").read_bytes()[1:4] == b"PNG"
    # The small pictures of results among slides are no slides.
    assert search(tmp_path) == []


def test_a_certificate_is_added_and_replaced(page: Make, tmp_path: Path, parsed: Make) -> None:
    path = page_path(tmp_path, "s-1")
    path.parent.mkdir()
    path.write_text(page(), encoding="utf-8")
    assert "Certificate of this slide" not in path.read_text(encoding="utf-8")
    add_certificate(tmp_path, "s-1", {"passed": False, "differing_px": 1})
    assert "FAILED" in path.read_text(encoding="utf-8")
    add_certificate(tmp_path, "s-1", {"passed": True, "differing_px": 0})
    found = parsed(path.read_text(encoding="utf-8"))
    assert found.faults() == []
    assert found.tables["Parts of the slide that were computed again"] == [["differing px", "0"]]
    assert "FAILED" not in found.text
    with pytest.raises(NoResultError, match="s-2 has no"):
        add_certificate(tmp_path, "s-2", {"passed": True})


def test_a_certificate_in_the_record_is_shown(page: Make, entry: Make, parsed: Make) -> None:
    found = parsed(page(entry(nuclei=1) | {"certificate": {"passed": True, "shards": 4}}))
    assert found.tables["Parts of the slide that were computed again"] == [["shards", "4"]]


def test_the_page_says_why_weights_were_chosen(page: Make, content: dict[str, Any], parsed: Make) -> None:
    why = "only 2% of the tissue's colour has hues"
    chosen = {"weights": "w", "quality": "fine", "why": why}
    table = parsed(page(request=content["request"] | {"choice": chosen})).tables[
        "Weights and their certificate"
    ]
    assert ["chosen because", f"{why} (quality fine)"] in table
    assert "chosen because" not in page()
    assert "chosen because" not in page(request=content["request"] | {"choice": chosen | {"weights": "v"}})
