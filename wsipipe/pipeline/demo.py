"""The demo: a workflow on a synthetic slide, compared with its exact truth."""

from pathlib import Path

import numpy as np
import zarr

from wsipipe.pipeline.options import Resources
from wsipipe.pipeline.reporting.progress import ProgressReporter
from wsipipe.pipeline.run import run
from wsipipe.pipeline.run_result import RunResult
from wsipipe.stages.pyramid import mode_of_four
from wsipipe.store.result import Result
from wsipipe.synth.truth_score import score
from wsipipe.synth.writer import make_slide

SIZE_PX = 4096
SEED = 7


def run_demo(
    out: Path, slide: Path | None, workers: int | None, device: str, reporter: ProgressReporter
) -> tuple[RunResult, dict[str, float]]:
    """Run ``nuclei_and_tissue`` on a given or a synthetic slide.

    Args:
        out: Folder of the slide and the results.
        slide: A slide; None for a synthetic one of 4,096 px at 0.25 µm/px.
        workers: Number of CPU processes; None for one per core.
        device: ``cpu``, ``cuda`` or ``auto``.
        reporter: Receiver of progress and messages.

    Returns:
        The run, and the agreement with the truth; empty for a given slide or after a failure.
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
    """Compare the nuclei of a synthetic slide with its truth.

    The slide has 0.25 µm/px, the labels have 0.5 µm/px, at which they are compared.

    Returns:
        Scores by name.
    """
    labels = result.arrays.labels["nuclei"][0][...]
    exact = mode_of_four(np.asarray(zarr.open_array(truth / "nuclei", mode="r")[...]))
    return score(labels, exact)
