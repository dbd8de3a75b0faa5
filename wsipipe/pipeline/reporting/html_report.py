"""The page of a batch, ``report.html``."""

import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from wsipipe.common.about import RESEARCH_USE_NOTICE, __version__
from wsipipe.common.atomic_files import write_durable
from wsipipe.common.machine import usable_cores
from wsipipe.pipeline.reporting.batch_rows import failures_of, slide_rows, warnings_of
from wsipipe.pipeline.reporting.run_json import MachineEntry, RunEntry, SlideEntry
from wsipipe.pipeline.reporting.stage_rows import stage_rows
from wsipipe.pipeline.reporting.templates import render, script_of
from wsipipe.pipeline.reporting.usage_bars import PARTS
from wsipipe.tiling.collect import printable

_LIBRARIES = (
    "torch",
    "openslide-python",
    "openslide-bin",
    "tifffile",
    "zarr",
    "dask",
    "numpy",
    "scipy",
)


def machine_facts() -> MachineEntry:
    """Return notice, machine and versions for ``run.json``."""
    return {
        "notice": RESEARCH_USE_NOTICE,
        "machine": f"{platform.system()} {platform.machine()}, {usable_cores()} cores",
        "versions": {"wsipipe": __version__, "python": platform.python_version()}
        | {name: _version_of(name) for name in _LIBRARIES},
    }


def _version_of(library: str) -> str:
    """Return the version of a library; conda has OpenSlide under another name."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "not known"


def write_report(out: Path, run: RunEntry) -> None:
    """Write ``report.html`` of a run into ``out``.

    Args:
        out: Folder of the results.
        run: Content of ``run.json``.
    """
    script, source = script_of("batch.js")
    slides = run["slides"]
    rows = slide_rows(out, slides)
    text = render(
        "batch.html",
        run=run,
        rows=rows,
        statuses=Counter(slide["status"] for slide in slides),
        failures=failures_of(slides),
        warnings=warnings_of(slides),
        has_scores=any(row.measures.get("h_score") for row in rows),
        requests=[_request(each) for each in run.get("asked", {}).values()],
        weights=_weights(slides),
        choices=Counter(slide["plan"]["choice"]["weights"] for slide in slides if "choice" in slide["plan"]),
        networks=_networks(slides),
        classes_of=sorted({slide["plan"].get("classes_of", "") for slide in slides} - {""}),
        stages=stage_rows(slides),
        log_of=_log_of,
        parts=PARTS,
        notice=RESEARCH_USE_NOTICE,
        script=script,
        script_source=source,
    )
    write_durable(out / "report.html", printable(text).encode())


def _request(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return workflow and settings of a request; that of version 0.1.0 has a whole workflow."""
    chosen = entry.get("chosen", entry.get("workflow", {}))
    settings = [
        f"{section}.{key}={value}"
        for section, values in chosen.items()
        if isinstance(values, Mapping)
        for key, value in values.items()
    ]
    return {"workflow": chosen.get("name", ""), "settings": settings, "region": entry.get("region")}


def _weights(slides: Iterable[SlideEntry]) -> list[tuple[str, str]]:
    """Return stage and name of all weights, each once."""
    sections = [
        (stage, values["weights"])
        for slide in slides
        for stage, values in slide["plan"].get("parameters", {}).items()
        if isinstance(values, Mapping) and "weights" in values
    ]
    return list(dict.fromkeys(sections))


def _networks(slides: Iterable[SlideEntry]) -> dict[str, list[str]]:
    """Return how the network of each stage ran, each text once."""
    found: dict[str, dict[str, None]] = {}
    for slide in slides:
        for stage, texts in slide.get("networks", {}).items():
            found.setdefault(stage, {}).update(dict.fromkeys(texts))
    return {stage: [*texts] for stage, texts in found.items()}


def _log_of(slide: SlideEntry) -> list[str]:
    """Return the last log lines without the message, which the page already shows."""
    message = slide["message"]
    return [line for line in slide["log"] if not (message and line.endswith(f": {message}"))]
