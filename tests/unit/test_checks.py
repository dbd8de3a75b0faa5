"""A finished slide is checked, and what looks wrong is told everywhere: outcome, file, run.json, report."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from wsipipe.checks import CHECKS, read_warnings
from wsipipe.record import RUN_JSON
from wsipipe.results import Result
from wsipipe.workflow import Resources, RunResult, run


def run_picture(pixels: np.ndarray, scheduler: str, folder: Path) -> RunResult:
    path = folder / "picture.png"
    Image.fromarray(pixels).save(path)
    return run("tiling_only", path, folder / "out", mpp=0.5, resources=Resources(scheduler=scheduler))


def test_a_slide_of_bare_glass_ends_with_a_warning(scheduler: str, tmp_path: Path) -> None:
    result = run_picture(np.full((300, 300, 3), 245, np.uint8), scheduler, tmp_path)
    slide = result.slides[0]
    assert slide.status == "done"
    assert result.exit_code == 0
    assert [warning.code for warning in slide.warnings] == ["LITTLE_TISSUE"]
    assert read_warnings(result.out / slide.slide_id) == slide.warnings
    recorded = json.loads((result.out / RUN_JSON).read_text())["slides"][0]
    assert recorded["warnings"][0]["code"] == "LITTLE_TISSUE"
    assert "WARNING LITTLE_TISSUE" in (result.out / "report.html").read_text()


def test_a_slide_with_tissue_ends_without(tiled: Result) -> None:
    checks = json.loads((tiled.folder / CHECKS).read_text())
    assert checks["warnings"] == []
    assert 0.05 < checks["measures"]["tissue_share"] <= 1


def test_results_of_versions_without_checks_have_no_warnings(tmp_path: Path) -> None:
    assert read_warnings(tmp_path) == ()
