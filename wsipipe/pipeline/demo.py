"""The main job on a small synthetic slide, held against its exact truth."""

from pathlib import Path

import numpy as np
import zarr

from wsipipe.pipeline.reporting.progress import ProgressReporter
from wsipipe.pipeline.run import Resources, RunResult, run
from wsipipe.stages.pyramid import mode_of_four
from wsipipe.store.result import Result
from wsipipe.synth.truth_score import score
from wsipipe.synth.writer import make_slide

SIZE_PX = 4096
SEED = 7


def run_demo(
    out: Path, slide: Path | None, workers: int | None, device: str, reporter: ProgressReporter
) -> tuple[RunResult, dict[str, float]]:
    """Runs ``nuclei_and_tissue`` on a slide of the user's, or on one made here.

    Args:
        out: Folder of slide and results.
        slide: None for a synthetic slide of 4,096 px at 0.25 um/px.
        workers: CPU processes; None for one a core.
        device: ``cpu``, ``cuda`` or ``auto``.
        reporter: Hears of progress.

    Returns:
        The run, and the agreement with the truth; empty for a slide of the user's or after a failure.
    """
    chosen = slide or out / "synthetic.svs"
    truth = out / "synthetic.svs.truth.zarr"
    if slide is None and not (chosen.is_file() and truth.is_dir()):
        make_slide(chosen, SIZE_PX, SEED)
    result = run(
        "nuclei_and_tissue", chosen, out, resources=Resources(workers, device=device), reporter=reporter
    )
    finished = result.results()
    if slide is not None or not finished:
        return result, {}
    return result, agreement(finished[0], truth)


def agreement(result: Result, truth: Path) -> dict[str, float]:
    """Nuclei found on a synthetic slide of 0.25 um/px against its truth, at the labels' 0.5 um/px."""
    labels = result.labels["nuclei"][0][...]
    exact = mode_of_four(np.asarray(zarr.open_array(truth / "nuclei", mode="r")[...]))
    return score(labels, exact)
