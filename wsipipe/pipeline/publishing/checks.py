"""Measure a finished slide, and warn of implausible results."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from wsipipe.common.atomic_files import write_json
from wsipipe.geometry import Array
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.fitness import Measures, fit_warnings, measure_fit
from wsipipe.pipeline.publishing.quality_warnings import quality_warnings
from wsipipe.pipeline.reporting.outcome import SlideWarning
from wsipipe.stages.quality.stages import QUALITY
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.tables import load_table

LEAST_TISSUE_SHARE = 0.01
_BAND_PX = 512


def check_slide(
    plan: Plan, inputs: ShardInputs, tables: Path, path: Path, nuclei: dict[str, Any] | None = None
) -> tuple[SlideWarning, ...]:
    """Measure a finished slide, and write measures and warnings.

    Args:
        plan: Plan of the slide.
        inputs: Finished arrays of the slide.
        tables: Folder of the stages' tables.
        path: JSON file to write, with ``measures`` by name, ``warnings`` with code and message, and
            ``nuclei`` if they were counted and ``quality`` where it was measured.
        nuclei: Counts of nuclei, see :func:`wsipipe.pipeline.publishing.nuclei_summary.summarise_nuclei`.

    Returns:
        The warnings; empty for an ordinary slide.
    """
    measures: Measures = {"tissue_share": tissue_share(inputs)} | measure_fit(plan, inputs, tables)
    warnings = (*_tissue_warnings(measures, plan.slide.mask_path), *fit_warnings(plan, measures))
    content: dict[str, object] = {"measures": measures}
    if plan.workflow.quality:
        stored = load_table(tables / f"{QUALITY}.npz")
        quality = content["quality"] = {name: float(value) for name, value in sorted(stored.items())}
        warnings += quality_warnings(quality, plan.workflow.quality.leave_out)
    content |= {"warnings": [asdict(warning) for warning in warnings]}
    write_json(path, content | ({"nuclei": nuclei} if nuclei else {}))
    return warnings


def tissue_share(inputs: ShardInputs) -> float:
    """Return the share (0 to 1) of tissue.

    It is that of the computed part of the slide.
    """
    counts = value_counts(inputs.array(TISSUE))
    return float(counts[1] / max(1, counts[:2].sum()))


def tissue_area(plan: Plan, inputs: ShardInputs) -> float:
    """Return the area of the tissue, mm2."""
    side_um = plan.facts.grid.mpp * plan.downsample(TISSUE)
    return float(value_counts(inputs.array(TISSUE))[1]) * side_um**2 / 1e6


def value_counts(label: Array) -> Array:
    """Count the px of each value of a uint8 label, (256,), a band at a time."""
    counts = np.zeros(256, np.int64)
    for y in range(0, label.shape[0], _BAND_PX):
        counts += np.bincount(np.asarray(label[y : y + _BAND_PX]).ravel(), minlength=256)
    return counts


def _tissue_warnings(measures: Measures, mask_path: Path | None) -> list[SlideWarning]:
    share = measures["tissue_share"]
    if share >= LEAST_TISSUE_SHARE:
        return []
    found = "no tissue was found" if share == 0 else f"only {share:.2%} of the slide was detected as tissue"
    if mask_path is None:
        remedy = "give a mask in the manifest's column mask_path: a PNG, white where tissue is"
    else:
        remedy = f"correct the mask {mask_path} (white where tissue is), or leave mask_path empty"
    return [
        SlideWarning(
            "LITTLE_TISSUE",
            f"{found}, so almost nothing was measured. Check overview.png; if there is tissue, {remedy}.",
        )
    ]
