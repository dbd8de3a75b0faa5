"""Pages of made-up slides, and a parser that finds their faults."""

import base64
import io
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from wsipipe.pipeline.reporting.html_report import machine_facts
from wsipipe.pipeline.reporting.outcome import SlideOutcome, SlideWarning
from wsipipe.pipeline.reporting.usage import Usage

VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """A page as elements and tables.

    Attributes:
        elements: Tag and attributes of each element, in order.
        tables: Texts of the cells by row, by caption.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._open: list[str] = []
        self._caption, self._rows = "", []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._caption, self._rows = "", []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "table":
            self.tables[self._caption] = [[" ".join(c.split()) for c in row] for row in self._rows]

    def handle_data(self, data: str) -> None:
        if {"script", "style"} & {*self._open}:
            return
        self.words.append(data)
        if "caption" in self._open:
            self._caption += data
        elif {"td", "th"} & {*self._open}:
            self._rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All visible text."""
        return " ".join(" ".join(self.words).split())

    def faults(self) -> list[str]:
        """What keeps a page from being read alone, by keyboard, or by a screen reader."""
        ids = [each["id"] for _, each in self.elements if "id" in each]
        found = [f"id {name} twice" for name, count in Counter(ids).items() if count > 1]
        for tag, each in self.elements:
            address = each.get("href") or each.get("src") or ""
            found += [f"{tag} leads to {address}"] if address.startswith(("http", "//", "file:")) else []
            if address.startswith("#") and address[1:] not in ids:
                found.append(f"no element {address}")
            if tag == "img" and not each.get("alt"):
                found.append("img without alt")
            if tag == "svg" and not (each.get("role") == "img" and each.get("aria-label")):
                found.append("svg without a name")
            if tag == "th" and each.get("scope") not in ("row", "col"):
                found.append("th without scope")
            if tag == "link" or (tag == "script" and "src" in each):
                found.append(f"{tag} loads another file")
        return found + [f"{tag} is not closed" for tag in self._open]


@pytest.fixture(scope="session")
def parsed() -> Callable[[str], Page]:
    """Parser of pages."""
    return Page


def picture(colour: str, size: tuple[int, int] = (8, 6)) -> str:
    """A picture in an address."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


@pytest.fixture
def content() -> dict[str, Any]:
    """What a worker collects for the page of a slide."""
    place = {"height_px": 600.0, "width_px": 800.0}
    classes = [
        {"name": "TUM", "meaning": "tumour", "colour": "#d55e00", "area_mm2": 0.3},
        {"name": "STR", "meaning": "", "colour": "#0072b2", "area_mm2": 0.1},
        {"name": "ADI", "meaning": "fat", "colour": "#eeeeee", "area_mm2": 0.0},
    ]
    good = [{"name": "good tissue", "meaning": "", "colour": "#aac878", "area_mm2": 0.4}]
    maps = {"picture": picture("red"), **place, "origin": ""}
    crop = {"id": 7, "picture": picture("blue"), "outline": "M1.0 1.0L5.0 1.0L5.0 5.0Z"}
    crop |= {"area_um2": 45.4, "probability": 0.523, "kind": "TUM"}
    weights = {"stage": "segment", "name": "w", "architecture": "gmr_unet", "mpp": 0.5, "organ": "colon"}
    weights |= {"stain": "H&E", "licence": "CC BY-NC-SA 4.0", "non_commercial": True, "sha256": "ab" * 32}
    weights |= {"intended_use": "Research.", "data": ["MoNuSeg", "NuCLS"], "thresholds": {"nucleus": 0.5}}
    weights |= {"precision": "bfloat16", "certificate": {"receptive field": "9 px"}, "certified": True}
    rows = [
        {"class": "all tissue", "area_mm2": "0.4", "nuclei": "1234", "nuclei_per_mm2": "3085.0"},
        {"class": "TUM", "area_mm2": "0.3", "nuclei": "1200", "nuclei_per_mm2": "4000.0"},
        {"class": "ADI", "area_mm2": "0.0", "nuclei": "0", "nuclei_per_mm2": ""},
        {"class": "region: <b>", "area_mm2": "0.0", "nuclei": "0", "nuclei_per_mm2": ""},
    ]
    slide = {"picture": picture("pink"), "height_px": 600, "width_px": 800, "um_per_px": 1.0}
    density = {"picture": picture("green"), **place, "most": 4700.0, "smoothing_um": 64.0}
    density |= {"ticks": [[0.0, "0"], [0.5, "2,350"]], "stops": [[0.0, "#440154"], [1.0, "#fde725"]]}
    request = {"workflow": "nuclei", "description": "Nuclei.", "region": None, "mask": None, "regions": None}
    request |= {"sample_id": "s", "extra": {"age": "61"}, "chosen": [["segment.precision", "bfloat16"]]}
    request |= {"parameters": [["tile.mpp", "0.5"]], "weights": [weights]}
    return {
        "slide": slide | {"height_mm": 0.6, "width_mm": 0.8},
        "outline": picture("lime"),
        "thumbnail": picture("pink"),
        "density": density,
        "labels": [
            maps | {"name": "tissue_class", "title": "tissue class", "origin": "colon", "classes": classes},
            maps | {"name": "quality", "title": "quality", "classes": good},
        ],
        "galleries": [{"title": "Random", "text": "At random.", "side_px": 96, "crops": [crop]}],
        "summary": rows,
        "request": request,
        "files": ["overview.png", "slide.zarr", "summary.csv"],
        "notice": "",
        "version": "1",
    }


@pytest.fixture
def entry() -> Callable[..., Any]:
    """Makes the entry of a slide in ``run.json``."""

    def make(slide_id: str = "s-1", status: str = "done", **more: Any) -> Any:
        plan = {"plan": "p" * 64, "mpp": 0.25, "mpp_source": "vendor", "canvas_mpp": 0.5}
        plan |= {"canvas_shape": [1000, 2000], "stages": ["tissue", "tile", "pyramid image/1"]}
        used = Usage(1.0, 3.0, 2.9, 1.0, 0.0, 0.5, 2_500_000, 321.0, 2.0).as_json()
        given: dict[str, Any] = {
            "plan": plan if status != "failed" else {},
            "seconds": {"tile": 2.0, "tissue": 0.5} if status == "done" else {},
            "usage": {"tile": used} if status == "done" else {},
        }
        warnings = tuple(SlideWarning(code, f"{code} was found. Look.") for code in more.pop("codes", ()))
        path, sample = Path(f"/slides/{slide_id}.svs"), {"sample_id": more.pop("sample_id", "")}
        return sample | dict(
            SlideOutcome(slide_id, path, status, warnings=warnings, **given | more).as_json()
        )

    return make


@pytest.fixture
def run_of() -> Callable[..., Any]:
    """Makes the content of ``run.json``."""

    def make(*slides: Any, **more: Any) -> Any:
        facts = machine_facts() | {"began": "then", "ended": "now", "peak_memory_mb": {"w": 812.0}}
        return facts | {"slides": list(slides)} | more

    return make
