"""The summary of a slide agrees with its table and its maps."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.pipeline.publishing.summary import _distribution
from wsipipe.pipeline.reporting.batch_summary import ALL_TISSUE
from wsipipe.pipeline.retry import retry
from wsipipe.pipeline.run import Resources, run
from wsipipe.stages.workflow import Workflow
from wsipipe.store.names import SUMMARY
from wsipipe.store.result import Result, open_result


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / SUMMARY).open(newline="") as file:
        return {row["class"]: row for row in csv.DictReader(file)}


def test_areas_and_counts_are_those_of_maps_and_table(finished: Result) -> None:
    found, nuclei = rows(finished.folder), finished.nuclei
    assert list(found) == [ALL_TISSUE, "one", "two"]
    assert int(found[ALL_TISSUE]["nuclei"]) == len(nuclei) > 10
    labels = {ALL_TISSUE: ("tissue", 1), "one": ("tissue_class", 0), "two": ("tissue_class", 1)}
    for name, (label, value) in labels.items():
        px_mm2 = (finished.scale_um(f"labels/{label}")[0] / 1000) ** 2
        area = (finished.arrays.labels[label][0][...] == value).sum() * px_mm2
        assert float(found[name]["area_mm2"]) == pytest.approx(area, abs=1e-6)
        here = nuclei if name == ALL_TISSUE else nuclei[nuclei["tissue_class"] == name]
        assert int(found[name]["nuclei"]) == len(here)
        if area:
            assert float(found[name]["nuclei_per_mm2"]) == pytest.approx(len(here) / area, rel=1e-3)
            covered = here["area_um2"].sum() / 1e6 / area
            assert float(found[name]["nuclei_area_share"]) == pytest.approx(covered, rel=1e-3)
        whole = float(found[ALL_TISSUE]["area_mm2"])
        assert float(found[name]["area_share"]) == pytest.approx(area / whole, abs=1e-5)
        if len(here):
            assert float(found[name]["area_um2_mean"]) == pytest.approx(here["area_um2"].mean(), rel=1e-5)
            assert float(found[name]["nearest_nucleus_um_median"]) == pytest.approx(
                here["nearest_nucleus_um"].median(), rel=1e-5
            )


def test_a_workflow_without_nuclei_has_areas_alone(tiled: Result) -> None:
    found = rows(tiled.folder)
    assert list(found) == [ALL_TISSUE]
    assert list(found[ALL_TISSUE]) == ["class", "area_mm2", "area_share"]
    assert float(found[ALL_TISSUE]["area_mm2"]) > 0


def test_a_distribution_does_not_depend_on_the_order() -> None:
    values = np.random.default_rng(0).lognormal(0, 9, 1001)
    values[7] = np.nan
    found = _distribution("x", values)
    assert found == _distribution("x", values[::-1])
    assert found["x_median"] == pytest.approx(np.nanmedian(values), rel=1e-5)
    assert _distribution("x", np.full(3, np.nan)) == dict.fromkeys(found)


def test_nuclei_are_measured_by_region_and_wrong_regions_fail_alone(
    small_slide: Path, tiny_workflow: Workflow, finished: Result, scheduler: str, tmp_path: Path
) -> None:
    half = [[0, 0], [512, 0], [512, 1024], [0, 1024], [0, 0]]
    beside = [[x + 5000, y] for x, y in half]
    for name, polygon in (("half", half), ("beside", beside)):
        feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [polygon]}}
        (tmp_path / f"{name}.geojson").write_text(json.dumps(feature | {"properties": {"name": name}}))
    copy = shutil.copy(small_slide, tmp_path / "copy.svs")
    rows_of = f"a,{small_slide},half.geojson\nb,{copy},beside.geojson\n"
    (tmp_path / "slides.csv").write_text("sample_id,image_path,regions_path\n" + rows_of)
    resources = Resources(scheduler=scheduler, device="cpu")
    good, bad = run(tiny_workflow, tmp_path / "slides.csv", tmp_path / "out", resources=resources).slides
    assert (good.status, bad.code) == ("done", "SLIDE_UNREADABLE")
    assert "beside (feature 1) lies outside the slide" in bad.message
    result = open_result(tmp_path / "out" / good.slide_id)
    nuclei = result.nuclei
    left = nuclei["centroid_x_px0"] < 512
    assert (nuclei["region"].notna() == left).all()
    row, plain = rows(result.folder)["region: half"], rows(finished.folder)[ALL_TISSUE]
    assert 0 < int(row["nuclei"]) == left.sum() < int(plain["nuclei"])
    assert 0 < float(row["area_mm2"]) < float(plain["area_mm2"])
    assert result.manifest["plan"] != finished.manifest["plan"]
    again = retry(tmp_path / "out", None, resources)
    assert "lies outside the slide" in again[0].slides[0].message


def test_a_folder_of_regions_that_fits_no_slide_is_refused(small_slide: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fit no slide; name the files as the slides: small"):
        run("tiling_only", small_slide, tmp_path / "out", regions=tmp_path)
