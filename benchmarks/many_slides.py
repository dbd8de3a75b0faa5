"""Measure what a run costs beside its slides: planning, recording and reporting of large batches.

The slides are stubs that take no time. Run ``python benchmarks/many_slides.py 250 1000``; the costs of a
slide must hardly grow from the first number to the last. With ``--every-change`` the record is written after
every change, as it was before it was paced.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from wsipipe.pipeline import run_slides
from wsipipe.pipeline.maintenance import status
from wsipipe.pipeline.parts import Part
from wsipipe.pipeline.reporting import paced_writes, run_record
from wsipipe.pipeline.reporting.progress import NullReporter
from wsipipe.pipeline.reporting.run_record import RunRecord, RunRequest
from wsipipe.pipeline.reporting.usage import Usage
from wsipipe.pipeline.run_slides import FailureLimit, SlideRunner
from wsipipe.pipeline.slide_run import Device
from wsipipe.stages.workflow import load_workflow
from wsipipe.tiling.collect import SlideInput, collect

PARAMETERS = 10
"""Parameters of a stage in the plan."""
STAGES = ["tissue", "tile", "segment", "instances", "classify"]
USAGE = {stage: Usage(busy_s=1.0).as_json() for stage in STAGES}


class StubPlanner:
    """A planner that opens no slide."""

    cards: dict[str, object] = {}  # noqa: RUF012
    chooser = None

    def plan(self, pool: object, slide: SlideInput, device: str) -> tuple[Any, tuple[()]]:
        """Return a plan with a summary of the usual size."""
        parameters = {stage: {f"parameter_{i}": 0.5 for i in range(PARAMETERS)} for stage in STAGES}
        shape = {"mpp": 0.5, "mpp_source": "vendor", "canvas_mpp": 0.5, "canvas_shape": [9999, 9999]}
        entry = {"plan": slide.slide_id * 3, "stages": STAGES, "shards": dict.fromkeys(STAGES, 36)}
        summary = shape | entry | {"parameters": parameters}
        return SimpleNamespace(slide=slide, summary=lambda: summary, choice=None), ()


class StubPool:
    """A pool without workers."""

    client = SimpleNamespace(status="running")

    def with_message(self, message: object) -> "StubPool":
        """Return this pool."""
        return self

    def prepare(self, function: object) -> None:
        """Prepare nothing."""


def stub_slide(
    pool: object, plan: Any, out: Path, device: object, callbacks: Any, restart: bool
) -> dict[str, float]:
    """Compute nothing, with the callbacks of a slide that is computed."""
    for stage in STAGES:
        callbacks.network(stage, "float32, ring kernels (avx2), a processor")
        callbacks.message(f"{stage} done")
    callbacks.usage(USAGE)
    return dict.fromkeys(STAGES, 1.0)


@contextmanager
def counted_writes() -> Iterator[list[int]]:
    """Count the bytes of every write of the record."""
    sizes: list[int] = []
    write = run_record.write_json

    def counting(path: Path, value: object) -> None:
        write(path, value)
        sizes.append(path.stat().st_size)

    with mock.patch.object(run_record, "write_json", counting):
        yield sizes


def run_stub_slides(out: Path, inputs: list[SlideInput], part: Part | None = None) -> int:
    """Run slides that take no time; return how many were done."""
    share = part.share(inputs) if part else inputs
    record = RunRecord(
        out, RunRequest(load_workflow("nuclei_and_tissue")), share, part.batch(inputs) if part else None
    )
    runner = SlideRunner(
        *(StubPool(), out, StubPlanner(), Device("cpu", 1), NullReporter(), record),
        restart=False,
        sums=None,
        failures=FailureLimit(None),
        with_receipts=False,
    )
    nothing = {"is_published": lambda *_: True, "run_slide": stub_slide, "read_warnings": lambda _: ()}
    with mock.patch.multiple(run_slides, **nothing):
        outcomes = runner.run_all(share, 4)
    record.end({})
    return sum(outcome.status == "done" for outcome in outcomes)


def measure(count: int, folder: Path) -> dict[str, float]:
    """Return seconds of the processor, bytes and memory of a batch of stub slides."""
    slides = folder / "slides"
    slides.mkdir()
    for i in range(count):
        (slides / f"{i:05}.svs").touch()
    marks = [time.process_time()]
    inputs = collect([slides])
    marks.append(time.process_time())
    with counted_writes() as sizes:
        done = run_stub_slides(folder / "out", inputs)
    marks.append(time.process_time())
    for slide in inputs:
        (folder / "out" / ".work").mkdir(exist_ok=True)
        (folder / "out" / ".work" / f"{slide.slide_id}.lock").touch()
    found = len(status(folder / "out")["slides"])
    marks.append(time.process_time())
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    steps = [round(end - begin, 2) for begin, end in pairwise(marks)]
    return {
        "slides": count,
        "done": done,
        "in status": found,
        **dict(zip(("collect s", "run and report s", "status s"), steps, strict=True)),
        "writes of run.json": len(sizes),
        "MB written": round(sum(sizes) / 1e6, 1),
        "MB of run.json": round(sizes[-1] / 1e6, 1),
        "MB of report.html": round(os.path.getsize(folder / "out" / "report.html") / 1e6, 1),
        "peak MB of the process": round(peak_mb),
    }


def main(counts: list[int]) -> None:
    """Print the figures of each number of slides."""
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            print(measure(count, Path(folder)))


if __name__ == "__main__":
    if "--every-change" in sys.argv:
        paced_writes.PAUSE = 0
    main([int(text) for text in sys.argv[1:] if text.isdigit()] or [250, 1000])
