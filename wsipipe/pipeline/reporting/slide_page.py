"""The page of one slide, ``reports/SLIDE-ID.html``.

It is no part of the result, since it has times and versions of the run. The worker that finishes the slide
collects its content; the driver adds what it knows of the run and writes the page.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.common.atomic_files import write_durable
from wsipipe.errors import NoResultError
from wsipipe.pipeline.reporting.quality_rows import quality_rows
from wsipipe.pipeline.reporting.run_json import MachineEntry, SlideEntry
from wsipipe.pipeline.reporting.stage_rows import stage_rows
from wsipipe.pipeline.reporting.templates import render
from wsipipe.pipeline.reporting.usage_bars import PARTS
from wsipipe.tiling.collect import printable

REPORTS = "reports"
_BEGIN, _END = "<!-- slide certificate -->", "<!-- end of the slide certificate -->"
_QUALITY = "quality"
_INTENSITIES = ("negative", "1+", "2+", "3+")
_FILES = {
    "overview.png": "tissue, classes and density as one figure",
    "summary.csv": "areas, nuclei and their measures by class and region",
    "nuclei.parquet": "GeoParquet: a row for each nucleus, with its outline",
    "nuclei.geojson.gz": "nuclei for QuPath",
    "tissue_class.geojson": "tissue classes for QuPath",
    "quality.geojson": "faults of the slide for QuPath",
    "regions.geojson": "regions of interest that were used",
    "checks.json": "measures, quality and warnings",
    "slide.zarr": "OME-Zarr: image, labels and probabilities",
    "label.png": "photograph of the slide's label",
    "macro.png": "photograph of the slide",
}
_SCALE_LENGTHS = [factor * 10.0**power for power in range(5) for factor in (1, 2, 5)]
"""Lengths of scale bars, um."""


@dataclass(frozen=True)
class SummaryColumn:
    """A column of the table of measures.

    Attributes:
        name: Column of ``summary.csv``.
        title: Heading.
        unit: Unit; may be empty.
        decimals: Decimals shown.
    """

    name: str
    title: str
    unit: str
    decimals: int

    def text(self, row: Mapping[str, str]) -> str:
        """Return the value of a row as text."""
        value = row.get(self.name, "")
        return f"{float(value):,.{self.decimals}f}" if value else "—"


_COLUMNS = (
    SummaryColumn("area_mm2", "area", "mm²", 3),
    SummaryColumn("nuclei", "nuclei", "", 0),
    SummaryColumn("nuclei_per_mm2", "density", "nuclei per mm²", 0),
    SummaryColumn("area_um2_median", "nucleus, median", "µm²", 1),
    SummaryColumn("area_um2_p10", "nucleus, 10%", "µm²", 1),
    SummaryColumn("area_um2_p90", "nucleus, 90%", "µm²", 1),
    SummaryColumn("circularity_median", "circularity, median", "", 2),
    SummaryColumn("nearest_nucleus_um_median", "nearest nucleus, median", "µm", 1),
    SummaryColumn("positive_percent", "positive", "%", 1),
    SummaryColumn("h_score", "H-score", "0 to 300", 0),
)


def page_path(out: Path, slide_id: str) -> Path:
    """Return the path of a slide's page."""
    return out / REPORTS / f"{slide_id}.html"


def thumbnail_path(out: Path, slide_id: str) -> Path:
    """Return the path of a slide's small picture.

    By its name the search for slides passes it over.
    """
    return out / REPORTS / f"{slide_id}.thumbnail.jpg"


def write_slide_page(out: Path, content: Path, slide: SlideEntry, run: MachineEntry) -> None:
    """Write page and small picture of a slide.

    Args:
        out: Folder of the results.
        content: JSON file that the worker wrote.
        slide: Entry of ``run.json``.
        run: Machine and versions.

    Raises:
        StorageError: Writing failed.
    """
    page = json.loads(content.read_text(encoding="utf-8"))
    text = slide_page(page, slide, run, datetime.now(UTC).isoformat(sep=" ", timespec="minutes"))
    write_durable(page_path(out, slide["slide_id"]), printable(text).encode())
    small = page["thumbnail"].partition(",")[2]
    write_durable(thumbnail_path(out, slide["slide_id"]), base64.b64decode(small))


def slide_page(page: Mapping[str, Any], slide: SlideEntry, run: MachineEntry, when: str) -> str:
    """Return the page of a slide as HTML.

    Args:
        page: Content that the worker collected.
        slide: Entry of ``run.json``.
        run: Machine and versions.
        when: Time at which the slide was finished.
    """
    labels = page["labels"]
    rows = [row for row in page["summary"] if _is_shown(row)] or page["summary"][:1]
    types = [name for name in page["summary"][0] if name.startswith("nuclei: ")]
    columns = [each for each in _COLUMNS if any(row.get(each.name) for row in rows)]
    columns += [SummaryColumn(name, name.removeprefix("nuclei: "), "nuclei", 0) for name in types]
    return render(
        "slide.html",
        page=page,
        slide=slide,
        run=run,
        when=when,
        notice=RESEARCH_USE_NOTICE,
        file_name=Path(slide["path"]).name,
        facts=[*_facts(page, slide)],
        maps=[label for label in labels if label["name"] != _QUALITY],
        faults=[label for label in labels if label["name"] == _QUALITY],
        scale=_scale_bar(page["slide"]),
        canvas_mpp=slide["plan"]["canvas_mpp"],
        rows=rows,
        columns=columns,
        quality=quality_rows(slide.get("quality", {})),
        stages=stage_rows([slide]),
        parts=PARTS,
        intensities=_INTENSITIES,
        files=[(name, text) for name, text in _FILES.items() if name in page["files"]],
        certificate=_certificate(slide.get("certificate", {})),
    )


def _is_shown(row: Mapping[str, str]) -> bool:
    return float(row["area_mm2"]) > 0 or row["class"].startswith("region: ")


def _facts(page: Mapping[str, Any], slide: SlideEntry) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and unit of the figures at the top."""
    whole = page["summary"][0]
    yield "tissue", f"{float(whole['area_mm2']):,.2f}", "mm²"
    if slide["nuclei"] is not None:
        yield "nuclei", f"{slide['nuclei']:,}", ""
        density = whole.get("nuclei_per_mm2")
        yield "density", f"{float(density):,.0f}" if density else "—", "nuclei per mm² of tissue"
    if whole.get("area_um2_median"):
        yield "median nucleus", f"{float(whole['area_um2_median']):.1f}", "µm²"
    positivity = slide.get("nuclei_summary", {}).get("positivity", {})
    if positivity.get("h_score") is not None:
        yield "positive", f"{positivity['positive_percent']:.1f}", "% of nuclei"
        yield "H-score", f"{positivity['h_score']:.0f}", "of 300"
    yield "warnings", str(len(slide.get("warnings", []))), ""


def _scale_bar(slide: Mapping[str, Any]) -> dict[str, object]:
    """Return position and text of the scale bar, px of the picture of the slide."""
    width, height = slide["width_px"], slide["height_px"]
    um = max((each for each in _SCALE_LENGTHS if each <= slide["um_per_px"] * width / 4), default=1.0)
    unit = max(width, height) / 60
    return {
        "unit": round(unit, 2),
        "y": round(height - 1.6 * unit, 2),
        "text_y": round(height - 2.2 * unit, 2),
        "length": round(um / slide["um_per_px"], 2),
        "thick": round(0.45 * unit, 2),
        "rim": round(0.12 * unit, 2),
        "font": round(1.7 * unit, 2),
        "text": f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} µm",
    }


def _certificate(certificate: Mapping[str, object]) -> str:
    rows = [
        (name.replace("_", " "), value)
        for name, value in certificate.items()
        if isinstance(value, int | float | str) and name != "passed"
    ]
    return render("certificate.html", certificate=certificate, rows=rows)


def add_certificate(out: Path, slide_id: str, certificate: Mapping[str, object]) -> None:
    """Show a certificate in the page of a slide, in place of an earlier one.

    Args:
        out: Folder of the results.
        slide_id: Name of the slide.
        certificate: ``passed``, and further numbers and texts by name.

    Raises:
        NoResultError: The slide has no page.
    """
    path = page_path(out, slide_id)
    if not path.is_file():
        raise NoResultError(
            f"The slide {slide_id} has no {path}, which runs of this version write. Run the workflow again "
            "with --restart, or read the certificate in its own file."
        )
    before, _, rest = path.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    write_durable(path, f"{before}{_certificate(certificate).rstrip()}{after}".encode())
