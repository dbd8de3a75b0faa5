"""Rows of the reports about the stages, in the order of the flow."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from wsipipe.pipeline.reporting.run_json import SlideEntry, UsageEntry
from wsipipe.pipeline.reporting.usage_bars import usage_bars

_PYRAMID = re.compile(r"(pyramid .*)/\d+")
Bar = list[tuple[str, float, float]]


@dataclass(frozen=True)
class StageRow:
    """What a stage took.

    Attributes:
        name: Name of the stage; the levels of a pyramid are one.
        seconds: Share in the duration of its slides, s.
        mpx_per_s: Canvas Mpx per second; None for no time.
        written_mb: Size of the files, MB; None where it was not measured, as below.
        peak_mb: Peak memory of a worker, MB.
        gpu_busy: Share of time in which a GPU computed.
        bar: (part, seconds, width in percent) of the seconds of the workers.
    """

    name: str
    seconds: float
    mpx_per_s: float | None
    written_mb: float | None
    peak_mb: float | None
    gpu_busy: float | None
    bar: Bar

    @property
    def in_words(self) -> str:
        """The bar in words."""
        return ", ".join(f"{part} {spent:.1f} s" for part, spent, _ in self.bar) or "nothing measured"


def stage_rows(slides: Iterable[SlideEntry]) -> list[StageRow]:
    """Return a row for each stage, summed over slides.

    Args:
        slides: Entries of ``run.json``, which sorts stages by name.
    """
    seconds: dict[str, float] = {}
    usage: dict[str, UsageEntry] = {}
    mpx: dict[str, float] = {}
    for slide in slides:
        canvas_mpx = math.prod(slide["plan"].get("canvas_shape", [0])) / 1e6
        used, counted = slide.get("usage", {}), set[str]()
        for stage in _in_order(slide):
            name = _PYRAMID.sub(r"\1", stage)
            seconds[name] = seconds.get(name, 0.0) + slide["seconds"][stage]
            # The levels of a pyramid are together one pass over the canvas.
            mpx[name] = mpx.get(name, 0.0) + (0.0 if name in counted else canvas_mpx)
            counted.add(name)
            if stage in used:
                usage[name] = _added(usage.get(name), used[stage])
    bars = usage_bars(usage)
    return [_row(name, seconds[name], mpx[name], usage.get(name), bars.get(name, [])) for name in seconds]


def _row(name: str, seconds: float, mpx: float, used: UsageEntry | None, bar: Bar) -> StageRow:
    return StageRow(
        name,
        seconds,
        mpx / seconds if seconds > 0 else None,
        used["written_bytes"] / 1e6 if used else None,
        used["peak_memory_mb"] if used else None,
        used["gpu_busy"] if used else None,
        bar,
    )


def _in_order(slide: SlideEntry) -> list[str]:
    flow: list[str] = slide["plan"].get("stages", [])
    places = {stage: place for place, stage in enumerate(flow)}
    return sorted(slide["seconds"], key=lambda stage: places.get(stage, len(flow)))


def _added(first: UsageEntry | None, second: UsageEntry) -> UsageEntry:
    """Return the usage of both together."""
    if first is None:
        return second
    names = [name for name in second if name != "gpu_busy"]
    summed: dict[str, object] = {name: _sum(first.get(name), second.get(name)) for name in names}
    times = [(each["gpu_busy"], each["busy_s"] + each["waiting_s"]) for each in (first, second)]
    known = [(share, time_s) for share, time_s in times if share is not None]
    total_s = sum(time_s for _, time_s in known)
    busy = sum(share * time_s for share, time_s in known) / total_s if total_s else None
    peak_mb = max(first["peak_memory_mb"], second["peak_memory_mb"])
    return UsageEntry(**summed | {"gpu_busy": busy, "peak_memory_mb": peak_mb})  # type: ignore[typeddict-item]


def _sum(first: object, second: object) -> float:
    return sum(value for value in (first, second) if isinstance(value, int | float))
