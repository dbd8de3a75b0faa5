"""Write ``summary.csv`` of a batch: a row for each slide."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from wsipipe.common.atomic_files import write_durable
from wsipipe.pipeline.reporting.run_json import RunEntry, SlideEntry
from wsipipe.store.names import SUMMARY
from wsipipe.tiling.collect import printable

ALL_TISSUE = "all tissue"
_CLASS_COLUMNS = ("area_mm2", "nuclei", "nuclei_per_mm2")


def write_batch_summary(out: Path, run: RunEntry) -> None:
    """Write ``summary.csv`` of a run into ``out``.

    Columns are those of the slide (``slide_id``, ``sample_id``, ``path``, ``status``, ``code``, ``warnings``,
    ``mpp``), the further columns of the manifest, the row of all tissue of the slide's own ``summary.csv``,
    and area and nuclei of each tissue class as ``CLASS: area_mm2``. A slide without a result has its own
    columns alone.

    Args:
        out: Folder of the results.
        run: Content of ``run.json``.
    """
    rows = [_row(out, slide) for slide in run["slides"]]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    # File names need not be UTF-8.
    write_durable(out / SUMMARY, printable(text.getvalue()).encode())


def _row(out: Path, slide: SlideEntry) -> dict[str, str]:
    codes = dict.fromkeys(each["code"] for each in slide.get("warnings", []))
    row = {
        "slide_id": slide["slide_id"],
        "sample_id": slide.get("sample_id") or "",
        "path": slide["path"],
        "status": slide["status"],
        "code": slide["code"],
        "warnings": " ".join(codes),
        "mpp": str(slide["plan"].get("mpp", "")),
    }
    row |= summary_row(out, slide)
    # A column of the manifest never replaces one of these.
    return row | {
        f"manifest: {key}" if key in row else key: each for key, each in slide.get("extra", {}).items()
    }


def summary_row(out: Path, slide: SlideEntry) -> dict[str, str]:
    """Return the measures of a slide by column of the batch's summary; empty without a result."""
    if slide["status"] not in ("done", "kept"):
        return {}
    return dict(_measured(out / slide["slide_id"] / SUMMARY))


def _measured(path: Path) -> Iterator[tuple[str, str]]:
    """Yield columns and values of a slide's own summary; none for results of earlier versions."""
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = row.pop("class")
            if name == ALL_TISSUE:
                yield from row.items()
            else:
                yield from ((f"{name}: {key}", row[key]) for key in _CLASS_COLUMNS if key in row)
