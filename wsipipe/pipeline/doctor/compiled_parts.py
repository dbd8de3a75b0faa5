"""Compiled parts: built, loaded, and equal to what they replace."""

import warnings
from collections.abc import Callable

from wsipipe.common import pixel_sums
from wsipipe.common.compiler_flags import how_to_install
from wsipipe.models.kernels import build
from wsipipe.models.kernels.fused import cpu_kind
from wsipipe.pipeline.doctor.finding import Finding
from wsipipe.stages.nuclei import compiled_instances, compiled_outlines
from wsipipe.store import compiled_geojson
from wsipipe.tiling.readers import jpeg_stream

TOPIC = "compiled"
_REMEDY = f"{how_to_install()}. Without it results are the same, but slower."


def compiled_parts() -> list[Finding]:
    """Build each compiled part where necessary, and load it."""
    return [
        _part("ring kernel", lambda: build.library() is not None, cpu_kind),
        _part("pixel sums", lambda: pixel_sums.library() is not None, _built),
        _part("check of JPEG data", lambda: jpeg_stream.library() is not None, _built),
        _part("labels of nuclei", lambda: compiled_instances.library() is not None, _built),
        _part("outlines of nuclei", lambda: compiled_outlines.library() is not None, _built),
        _part("texts of GeoJSON", lambda: compiled_geojson.library() is not None, _built),
    ]


def _built() -> str:
    return "built"


def loads(load: Callable[[], bool]) -> str | None:
    """Return why a compiled part does not load; None if it does.

    Args:
        load: Function that builds and loads the part, and returns whether that succeeded.
    """
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        if load():
            return None
    return "; ".join(str(each.message) for each in raised) or "it does not build"


def _part(name: str, load: Callable[[], bool], value: Callable[[], str]) -> Finding:
    reason = loads(load)
    return Finding(TOPIC, name, "note", reason, _REMEDY) if reason else Finding(TOPIC, name, "ok", value())
