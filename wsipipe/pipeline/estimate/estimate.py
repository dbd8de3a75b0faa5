"""Estimate tissue, shards, disk space and time of a run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path

from wsipipe.errors import WsipipeError
from wsipipe.pipeline.cluster.machine import gpu_names, threads_each, worker_count
from wsipipe.pipeline.estimate.calibration import CUT_OUT_PX, Speed, calibrate
from wsipipe.pipeline.estimate.in_process import InProcessPool
from wsipipe.pipeline.estimate.tissue_area import TissueArea, tissue_area
from wsipipe.pipeline.options import DEFAULT_RESOURCES, Resources
from wsipipe.pipeline.parts import Part
from wsipipe.pipeline.planning.disk_space import estimate_bytes
from wsipipe.pipeline.planning.memory_budget import plan_for_budget
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.planner import Level0Region, RunPlanner
from wsipipe.pipeline.run import checked_request
from wsipipe.pipeline.slide_run import Device
from wsipipe.stages.grid import lattice_px
from wsipipe.stages.workflow import Workflow
from wsipipe.tiling.collect import SlideInput


@dataclass(frozen=True)
class SlideEstimate:
    """What one slide will take.

    Attributes:
        slide_id: Id of the slide.
        path: Path of the slide.
        error: Code and message if it cannot be planned; empty otherwise.
        tissue_mm2: Area of its tissue.
        canvas_mpx: Canvas to compute, glass included.
        shards: Number of shards of all stages.
        disk_gb: Result and scratch at most.
        minutes: Expected time of this slide alone on all workers, without the start of their processes.
    """

    slide_id: str
    path: str
    error: str = ""
    tissue_mm2: float = 0.0
    canvas_mpx: float = 0.0
    shards: int = 0
    disk_gb: float = 0.0
    minutes: float = 0.0

    def as_json(self) -> dict[str, object]:
        """Return the fields by name."""
        return asdict(self)


def estimate_run(
    workflow: str | Path | Workflow,
    slides: Sequence[str | Path] | str | Path,
    *,
    settings: Iterable[str] = (),
    mpp: float | None = None,
    region: Level0Region | None = None,
    precision: str | None = None,
    resources: Resources = DEFAULT_RESOURCES,
    part: Part | None = None,
    regions: str | Path | None = None,
) -> Iterator[SlideEstimate]:
    """Yield what each slide of a run will take.

    Arguments and errors are those of :func:`wsipipe.pipeline.run.run`. Nothing is kept on the disk.
    """
    planner, inputs = checked_request(workflow, slides, settings, mpp, region, precision, regions)
    inputs = part.share(inputs) if part else inputs
    chosen, resources = _fitted(planner.workflow, resources)
    return Estimator(resources).slides(replace(planner, workflow=chosen), inputs)


def estimate_planned(plans: Sequence[Plan], resources: Resources) -> Iterator[SlideEstimate]:
    """Yield what slides will take that a dry run has opened and planned.

    Args:
        plans: Plans of the slides.
        resources: Resources of the run.
    """
    if plans:
        _, resources = _fitted(plans[0].workflow, resources)
    estimator = Estimator(resources)
    return (estimator.of(plan) for plan in plans)


def _fitted(workflow: Workflow, resources: Resources) -> tuple[Workflow, Resources]:
    """Return workflow and resources as the memory budget makes them."""
    if resources.memory_budget is None:
        return workflow, resources
    found = plan_for_budget(workflow, resources.memory_budget, worker_count(resources.workers))
    return found.workflow, replace(resources, workers=found.workers)


class Estimator:
    """Estimates of slides, with the speed of this machine on the first that has tissue.

    Args:
        resources: Processes, threads, device.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._speed: Speed | None = None
        on_gpu = resources.device != "cpu" and bool(gpu_names())
        threads = threads_each(resources.workers, resources.threads)
        self.device = Device("cuda" if on_gpu else "cpu", threads)
        """The device on which networks would run."""

    def slides(self, planner: RunPlanner, inputs: Sequence[SlideInput]) -> Iterator[SlideEstimate]:
        """Open and plan slides, and yield the estimate of each, or why there is none."""
        for slide in inputs:
            try:
                plan, _ = planner.plan(InProcessPool(), slide, self.device.name)
            except WsipipeError as error:
                yield _without(slide, error)
            else:
                yield self.of(plan)

    def of(self, plan: Plan) -> SlideEstimate:
        """Return the estimate of a planned slide, or why there is none."""
        try:
            area = tissue_area(plan, CUT_OUT_PX)
            if self._speed is None and area.tissue_px:
                lattice = lattice_px(plan.workflow.tile.mpp, plan.cards)
                planner = RunPlanner(plan.workflow, plan.cards, lattice, None)
                self._speed = calibrate(planner, plan, area.densest, self.device)
        except WsipipeError as error:
            return _without(plan.slide, error)
        return self._estimate(plan, area, self._speed)

    def _estimate(self, plan: Plan, area: TissueArea, speed: Speed | None) -> SlideEstimate:
        grid = plan.facts.grid
        return SlideEstimate(
            plan.slide.slide_id,
            str(plan.slide.path),
            tissue_mm2=area.tissue_mm2,
            canvas_mpx=area.canvas_px / 1e6,
            shards=sum(prod(stage.grid_shape(grid)) for stage in plan.stages),
            disk_gb=estimate_bytes(plan) / 1e9,
            minutes=self._seconds(area, speed) / 60 if speed else 0.0,
        )

    def _seconds(self, area: TissueArea, speed: Speed) -> float:
        """Return the time of a slide on all workers, s.

        GPUs run the networks while the other workers do the rest; the slower of both decides.
        """
        stored, tissue = speed.canvas * area.canvas_px, speed.tissue * area.tissue_px
        workers = worker_count(self._resources.workers)
        if self.device.name == "cpu":
            return (stored + tissue) / workers
        network = speed.network * area.tissue_px
        return max(network / max(1, len(gpu_names())), (stored + tissue - network) / workers)


def _without(slide: SlideInput, error: WsipipeError) -> SlideEstimate:
    return SlideEstimate(slide.slide_id, str(slide.path), f"{error.code}: {error}")
