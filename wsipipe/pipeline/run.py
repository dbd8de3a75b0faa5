"""A whole run: check the request, collect the slides, run them.

``run_inputs`` keeps finished slides and starts workers for the others, ``run_cluster`` computes these on the
workers. ``run_slides`` is the level of the slides of a run, ``slide_run`` that of the stages and shards of
one slide.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from wsipipe.pipeline.options import DEFAULT_POLICY, DEFAULT_RESOURCES, RunPolicy
from wsipipe.pipeline.options import Resources as Resources
from wsipipe.pipeline.parts import Part
from wsipipe.pipeline.planning.planner import Level0Region, RunPlanner, make_planner
from wsipipe.pipeline.reporting.notebook import default_reporter
from wsipipe.pipeline.reporting.progress import ProgressReporter
from wsipipe.pipeline.run_result import RunResult as RunResult
from wsipipe.stages.workflow import Workflow
from wsipipe.tiling.collect import SlideInput, collect


def run(
    workflow: str | Path | Workflow,
    slides: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    settings: Iterable[str] = (),
    mpp: float | None = None,
    region: Level0Region | None = None,
    precision: str | None = None,
    resources: Resources = DEFAULT_RESOURCES,
    policy: RunPolicy = DEFAULT_POLICY,
    include_label_images: bool = False,
    dry_run: bool = False,
    regions: str | Path | None = None,
    reporter: ProgressReporter | None = None,
    part: Part | None = None,
) -> RunResult:
    """Run a workflow on slides; write one folder per slide.

    Args:
        workflow: Name, path of a YAML file, or a loaded workflow.
        slides: Files, folders, globs, or a manifest CSV.
        out: Folder of the results; finished slides of the same plan are kept.
        settings: ``stage.key=value`` pairs that override the workflow.
        mpp: µm/px of level 0; overrides the value in the slides.
        region: Part to compute, (y, x, height, width) in level-0 px; None for everything.
        precision: Precision of every network: ``auto``, ``float32``, ``bfloat16`` or ``float64``; overrides
            the workflow.
        resources: Processes, threads, device, memory.
        policy: Restart, failure limit, checksums, timeout.
        include_label_images: Copy the label and macro images, which may show a patient's name.
        dry_run: Open and plan the slides; compute and write nothing.
        regions: Folder of regions of interest, ``NAME.geojson`` for the slide with that ``sample_id``.
        reporter: Receiver of progress and messages; None shows them in a notebook, and nothing elsewhere.
        part: Part of the slides to run, while other processes run the other parts; None for all slides.

    Returns:
        The outcome of each slide; a slide that fails does not raise.

    Raises:
        ConfigError: Workflow, settings, weights or slides are wrong; nothing was started.
        LockedError: Another run, or the same part, works on ``out``; names its process and start.
        StorageError: ``out`` cannot be written.
    """
    planner, inputs = checked_request(workflow, slides, settings, mpp, region, precision, regions)
    if include_label_images:
        planner = replace(planner, workflow=planner.workflow.model_copy(update={"label_images": True}))
    # Only now, so that a mistake in the request is reported at once.
    from wsipipe.pipeline.run_inputs import run_inputs

    return run_inputs(
        planner, inputs, Path(out), resources, policy, reporter or default_reporter(), dry_run, part
    )


def checked_request(
    workflow: str | Path | Workflow,
    slides: Sequence[str | Path] | str | Path,
    settings: Iterable[str] = (),
    mpp: float | None = None,
    region: Level0Region | None = None,
    precision: str | None = None,
    regions: str | Path | None = None,
) -> tuple[RunPlanner, list[SlideInput]]:
    """Return the planner and the slides of a run; arguments and errors are those of :func:`run`."""
    planner = make_planner(workflow, list(settings), region)
    if precision is not None:
        planner = replace(planner, workflow=planner.workflow.in_precision(precision))
    given = [slides] if isinstance(slides, str | Path) else slides
    inputs = collect(given, mpp, Path(regions) if regions else None)
    planner.check_region(inputs)
    return planner, inputs
