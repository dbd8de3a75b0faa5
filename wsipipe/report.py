"""What became of a run -> ``report.html`` for people."""

import math
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2

from wsipipe.durable import write_durable
from wsipipe.export import OVERVIEW
from wsipipe.notice import NOTICE
from wsipipe.version import __version__

_LIBRARIES = (
    "torch",
    "openslide-python",
    "openslide-bin",
    "tifffile",
    "zarr",
    "dask",
    "numpy",
    "scipy",
    "scikit-image",
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
.notice { background: #fff4d6; padding: .4rem .8rem; border-radius: 4px }
</style></head><body>
<h1>wsipipe run</h1>
<p class="notice">{{ notice }}</p>
<p>{{ run.began }} to {{ run.ended }} · wsipipe {{ run.versions.wsipipe }} · {{ run.machine }} ·
peak memory of a worker {{ run.peak_memory_mb.values() | max | default(0) }} MB</p>
<table><tr><th>slide</th><th>status</th><th>um/px (source)</th><th>nuclei</th><th>seconds</th></tr>
{% for slide in run.slides %}
<tr><td><a href="#{{ slide.slide_id }}">{{ slide.slide_id }}</a></td>
<td class="{{ slide.status }}">{{ slide.status }} {{ slide.code }}<br>{{ slide.message }}
{% for warning in slide.warnings | default([]) %}<br>
<span class="warning">WARNING {{ warning.code }}: {{ warning.message }}</span>
{% endfor %}
{% if slide.place %}<br>{% for key, value in slide.place.items() %}{{ key }} {{ value }} {% endfor %}
{% endif %}
{% if slide.log %}<pre>{{ slide.log | join("\n") }}</pre>{% endif %}</td>
<td>{% if slide.plan %}{{ "%.4f" | format(slide.plan.mpp) }} ({{ slide.plan.mpp_source }}){% endif %}</td>
<td>{{ slide.nuclei if slide.nuclei is not none }}</td>
<td>{% if slide.seconds %}{{ "%.1f" | format(slide.seconds.values() | sum) }}{% endif %}</td></tr>
{% endfor %}</table>
{% for slide in run.slides if slide.status in ("done", "kept") %}
<h2 id="{{ slide.slide_id }}">{{ slide.slide_id }}</h2>
{% if slide.plan.classes_of | default("") %}
<p>The tissue classes are those of {{ slide.plan.classes_of }}, which the weights learnt from.</p>
{% endif %}
<img src="{{ slide.slide_id }}/{{ overview }}" alt="Overview of {{ slide.slide_id }}">
{% if slide.seconds %}
<table><tr><th>stage</th><th>seconds</th><th>Mpx/s</th></tr>
{% for stage, seconds in slide.seconds.items() %}
<tr><td>{{ stage }}</td><td>{{ "%.1f" | format(seconds) }}</td>
<td>{% if seconds > 0 %}{{ "%.2f" | format(mpx(slide) / seconds) }}{% endif %}</td></tr>
{% endfor %}</table>{% endif %}
{% endfor %}
</body></html>
"""


def facts_of_machine() -> dict[str, Any]:
    """Notice, machine and versions, for ``run.json``."""
    return {
        "notice": NOTICE,
        "machine": f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "versions": {"wsipipe": __version__, "python": platform.python_version()}
        | {name: version(name) for name in _LIBRARIES},
    }


def write_page(out: Path, run: dict[str, Any]) -> None:
    """Writes ``report.html`` of a run into ``out``.

    Args:
        out: Folder of the results.
        run: What ``run.json`` holds.
    """
    # Autoescape is a constant: a slide's name may hold anything.
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_PAGE)
    text = page.render(run=run, notice=NOTICE, overview=OVERVIEW, mpx=_canvas_mpx)
    write_durable(out / "report.html", text.encode())


def _canvas_mpx(slide: dict[str, Any]) -> float:
    return math.prod(slide["plan"]["canvas_shape"]) / 1e6
