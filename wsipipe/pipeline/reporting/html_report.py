"""The report of a run, ``report.html``."""

import math
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jinja2

from wsipipe.common.about import RESEARCH_USE_NOTICE, __version__
from wsipipe.common.atomic_files import write_durable
from wsipipe.common.machine import usable_cores
from wsipipe.pipeline.reporting.outcome import precisions
from wsipipe.pipeline.reporting.quality_rows import quality_rows
from wsipipe.pipeline.reporting.run_json import MachineEntry, RunEntry, SlideEntry
from wsipipe.pipeline.reporting.usage_bars import PARTS, usage_bars
from wsipipe.store.names import OVERVIEW
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

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
content="default-src 'none'; img-src 'self'; style-src 'unsafe-inline'">
<title>wsipipe run</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #222 }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td, th { padding: .3rem .6rem; text-align: left; vertical-align: top }
tr + tr { border-top: 1px solid #ddd }
.failed, .warning { color: #b00020 }
pre { font-size: 12px; white-space: pre-wrap }
img { max-width: 100%; border: 1px solid #ddd }
.bar { display: flex; height: .9rem; min-width: 12rem }
.computing { background: #2a6f97 } .reading { background: #e9a23b } .loading { background: #8d6cab }
.writing { background: #5b9a68 } .waiting { background: #d9d9d9 }
.key span { display: inline-block; width: .9rem; height: .9rem; margin: 0 .3rem 0 1rem }
.notice { background: #fff4d6; padding: .4rem .8rem; border-radius: 4px }
</style></head><body>
<h1>wsipipe run</h1>
<p class="notice">{{ notice }}</p>
{% for note in run.notes | default([]) %}<p class="warning">{{ note }}</p>
{% endfor %}
<p>{{ run.began }} to {{ run.ended or "(not ended)" }} ·
wsipipe {{ run.versions.wsipipe }} · {{ run.machine }} ·
{% if run.processors | default([]) %}processors of the workers:
{{ run.processors | join("; ") }} · {% endif %}
peak memory of a worker {{ run.peak_memory_mb.values() | max | default(0) }} MB</p>
<table><tr><th>slide</th><th>status</th><th>um/px (source)</th>
<th>precision</th><th>nuclei</th><th>seconds</th></tr>
{% for slide in run.slides %}
<tr><td><a href="#{{ slide.slide_id }}">{{ slide.slide_id }}</a></td>
<td class="{{ slide.status }}">{{ slide.status }} {{ slide.code }}
{% for code in slide.warnings | default([]) | map(attribute="code") | unique %}<br>
<span class="warning">WARNING {{ code }}</span>{% endfor %}</td>
<td>{% if slide.plan %}{{ "%.4f" | format(slide.plan.mpp) }} ({{ slide.plan.mpp_source }}){% endif %}</td>
<td>{{ precisions(slide.plan) | join(", ") }}</td>
<td>{{ slide.nuclei if slide.nuclei is not none }}</td>
<td>{% if slide.seconds %}{{ "%.1f" | format(slide.seconds.values() | sum) }}{% endif %}</td></tr>
{% endfor %}</table>
{% for slide in run.slides %}
<h2 id="{{ slide.slide_id }}">{{ slide.slide_id }}</h2>
{% if slide.message %}<p class="{{ slide.status }}">{{ slide.code }}: {{ slide.message }}</p>{% endif %}
{% for warning in slide.warnings | default([]) %}
<p class="warning">WARNING {{ warning.code }}: {{ warning.message }}</p>{% endfor %}
{% if slide.place %}<p>
{% for key, value in slide.place.items() %}{{ key }} {{ value }} {% endfor %}</p>{% endif %}
{% if log_of(slide) %}<pre>{{ log_of(slide) | join("\n") }}</pre>{% endif %}
{% for stage, texts in (slide.networks | default({})).items() %}
<p>network of {{ stage }}: {{ texts | join("; ") }}</p>{% endfor %}
{% if slide.quality | default({}) %}
<details><summary>Quality of the slide</summary><table>
{% for name, text in quality_rows(slide.quality) %}<tr><td>{{ name }}</td><td>{{ text }}</td></tr>
{% endfor %}</table></details>{% endif %}
{% if slide.status in ("done", "kept") %}
{% if slide.plan.classes_of | default("") %}
<p>The tissue classes are those of {{ slide.plan.classes_of }}, on which the weights were trained.</p>
{% endif %}
{% set counted = slide.nuclei_summary | default({}) %}
{% if counted.types | default({}) %}
<table><tr><th>type of nucleus</th><th>nuclei</th><th>per mm2 of tissue</th></tr>
{% for name, row in counted.types.items() %}
<tr><td>{{ name }}</td><td>{{ row.nuclei }}</td><td>{{ row.per_mm2 if row.per_mm2 is not none }}</td></tr>
{% endfor %}</table>
{% endif %}
{% if counted.positivity | default({}) and counted.positivity.h_score is not none %}
<p>DAB: {{ counted.positivity.positive_percent }} % of the nuclei are positive, H-score
{{ counted.positivity.h_score }}
({% for name, count in counted.positivity.nuclei.items() %}{{ name }} {{ count }}{{ ", " if not loop.last }}
{%- endfor %}).</p>
{% endif %}
<img src="{{ slide.slide_id }}/{{ overview }}" alt="Overview of {{ slide.slide_id }}">
{% elif slide.status != "failed" %}<p>{{ slide.status }}</p>
{% endif %}
{% if slide.seconds %}
{% set usage = slide.usage | default({}) %}{% set bars = usage_bars(usage) %}
<table><tr><th>stage</th><th>seconds</th><th>Mpx/s</th>{% if usage %}
<th>busy s</th><th>waiting s</th><th>MB written</th><th>peak MB</th>
<th>GPU</th><th>seconds of the workers</th>{% endif %}</tr>
{% for stage, seconds in in_order(slide) %}
<tr><td>{{ stage }}</td><td>{{ "%.1f" | format(seconds) }}</td>
<td>{% if seconds > 0 %}{{ "%.2f" | format(mpx(slide) / seconds) }}{% endif %}</td>
{% if stage in usage %}{% set used = usage[stage] %}
<td>{{ "%.1f" | format(used.busy_s) }}</td><td>{{ "%.1f" | format(used.waiting_s) }}</td>
<td>{{ "%.1f" | format(used.written_bytes / 1e6) }}</td><td>{{ "%.0f" | format(used.peak_memory_mb) }}</td>
<td>{% if used.gpu_busy is not none %}{{ "%.0f" | format(100 * used.gpu_busy) }} %{% endif %}</td>
<td><div class="bar">{% for part, spent, width in bars[stage] %}
<span class="{{ part }}" style="width: {{ "%.2f" | format(width) }}%"
title="{{ part }} {{ "%.1f" | format(spent) }} s"></span>{% endfor %}</div></td>{% endif %}</tr>
{% endfor %}</table>
{% if usage %}<p class="key">Seconds of the workers:
{% for part in parts %}<span class="{{ part }}"></span>{{ part }}{% endfor %}</p>{% endif %}{% endif %}
{% endfor %}
</body></html>
"""


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
    # Autoescape is a constant: a slide's name may hold anything.
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_PAGE)
    tools = {"mpx": _canvas_mpx, "precisions": precisions, "in_order": _in_order, "log_of": _log_of}
    names = {"notice": RESEARCH_USE_NOTICE, "overview": OVERVIEW, "parts": PARTS}
    text = page.render(run=run, usage_bars=usage_bars, quality_rows=quality_rows, **tools, **names)
    write_durable(out / "report.html", printable(text).encode())


def _in_order(slide: SlideEntry) -> list[tuple[str, float]]:
    """Return stages and seconds in execution order; ``run.json`` sorts them by name."""
    flow: list[str] = slide["plan"].get("stages", [])
    places = {stage: place for place, stage in enumerate(flow)}
    return sorted(slide["seconds"].items(), key=lambda each: places.get(each[0], len(flow)))


def _log_of(slide: SlideEntry) -> list[str]:
    """Return the last log lines without the message, which the report already shows."""
    message = slide["message"]
    return [line for line in slide["log"] if not (message and line.endswith(f": {message}"))]


def _canvas_mpx(slide: SlideEntry) -> float:
    return math.prod(slide["plan"]["canvas_shape"]) / 1e6
