"""Speed of this machine, measured on a small part of a slide."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from wsipipe.geometry import Region
from wsipipe.pipeline.estimate.in_process import InProcessPool
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.planner import RunPlanner
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.stages.stage import Read
from wsipipe.tiling.collect import SlideInput
from wsipipe.tiling.cut_out import write_cut_out

CUT_OUT_PX = 1024
"""Side of the part, canvas px: ten seconds of a network on one core."""


@dataclass(frozen=True)
class Speed:
    """Seconds per canvas px of one worker.

    Attributes:
        tissue: Seconds of the stages that compute tissue alone.
        canvas: Seconds of those that also store glass.
        network: Seconds of the stages with a network, contained in ``tissue``.
    """

    tissue: float
    canvas: float
    network: float


def calibrate(planner: RunPlanner, plan: Plan, part: Region, device: Device) -> Speed:
    """Measure the speed of a workflow on a part of a slide.

    The part is read from the slide, and then runs as a slide of its own in this process, twice: the first
    time imports libraries and loads networks.

    Args:
        planner: Planner of the run.
        plan: Plan of the slide.
        part: The part, in canvas px.
        device: Device of the networks.
    """
    with TemporaryDirectory(prefix="wsipipe-") as folder:
        began = time.monotonic()
        with ShardInputs(plan, Path(folder)) as inputs:
            pixels = inputs.read(Read("canvas", 1), part).pixels
        reading_s = time.monotonic() - began
        slide = Path(folder) / "part.tif"
        write_cut_out(slide, pixels, plan.facts.grid.mpp)
        mask = Path(folder) / "part.png"
        Image.new("L", pixels.shape[1::-1], 255).save(mask)
        given = SlideInput("part", slide, plan.facts.grid.mpp, mask, "part")
        whole = replace(planner, region=None)
        found, _ = whole.plan(InProcessPool(), given, device.name)
        for restart in (False, True):
            seconds = run_slide(InProcessPool(), found, Path(folder) / "out", device, restart=restart)
    stored = reading_s + sum(value for name, value in seconds.items() if _stores_glass(found, name))
    networks = {stage.name for stage in found.stages if stage.network}
    network_s = sum(value for name, value in seconds.items() if name in networks)
    tissue_s = sum(seconds.values()) - (stored - reading_s) - seconds.get("tissue", 0.0)
    return Speed(tissue_s / part.area_px, stored / part.area_px, network_s / part.area_px)


def _stores_glass(plan: Plan, name: str) -> bool:
    """Return whether a stage writes the image, of glass too."""
    writes = [write for stage in plan.stages if stage.name == name for write in stage.writes]
    return any(write.kind == "image" for write in writes)
