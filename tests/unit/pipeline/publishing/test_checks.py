"""A finished slide is checked, and warnings appear everywhere: outcome, file, run.json, report."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsipipe.pipeline.publishing.published import read_warnings
from wsipipe.pipeline.reporting.run_record import RUN_JSON
from wsipipe.pipeline.run import Resources, RunResult, run
from wsipipe.store.names import CHECKS
from wsipipe.store.result import Result


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


@pytest.mark.parametrize(("marked", "codes"), [(255, []), (0, ["LITTLE_TISSUE"])])
def test_the_remedy_helps_and_an_empty_mask_is_named(
    scheduler: str, tmp_path: Path, marked: int, codes: list[str]
) -> None:
    Image.fromarray(np.full((300, 200, 3), 120, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((30, 20), marked, np.uint8)).save(tmp_path / "mask.png")
    slides = tmp_path / "slides.csv"
    slides.write_text("sample_id,image_path,mask_path,spacing_at_level_0\ngrey,grey.png,mask.png,0.5\n")
    result = run("tiling_only", slides, tmp_path / "out", resources=Resources(scheduler=scheduler))
    warnings = result.slides[0].warnings
    assert [warning.code for warning in warnings] == codes
    assert all("mask.png" in warning.message for warning in warnings)


def test_a_field_of_view_that_tissue_fills_ends_without_a_warning(scheduler: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = np.array([216, 205, 215]) + rng.integers(-6, 7, (256, 256, 3))
    result = run_picture(pixels.astype(np.uint8), scheduler, tmp_path)
    slide = result.slides[0]
    assert slide.warnings == ()
    checks = json.loads((result.out / slide.slide_id / CHECKS).read_text())
    assert checks["measures"]["tissue_share"] == 1


def test_a_slide_with_tissue_ends_without(tiled: Result) -> None:
    checks = json.loads((tiled.folder / CHECKS).read_text())
    assert checks["warnings"] == []
    assert 0.05 < checks["measures"]["tissue_share"] <= 1


def test_results_of_versions_without_checks_have_no_warnings(tmp_path: Path) -> None:
    assert read_warnings(tmp_path) == ()
