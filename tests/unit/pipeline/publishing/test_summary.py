"""The summary of a slide agrees with its table and its maps."""

import csv
from pathlib import Path

import numpy as np
import pytest

from wsipipe.pipeline.publishing.summary import _distribution
from wsipipe.pipeline.reporting.batch_summary import ALL_TISSUE
from wsipipe.store.names import SUMMARY
from wsipipe.store.result import Result


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / SUMMARY).open(newline="") as file:
        return {row["class"]: row for row in csv.DictReader(file)}


def test_areas_and_counts_are_those_of_maps_and_table(finished: Result) -> None:
    found, nuclei = rows(finished.folder), finished.nuclei()
    assert list(found) == [ALL_TISSUE, "one", "two"]
    assert int(found[ALL_TISSUE]["nuclei"]) == len(nuclei) > 10
    labels = {ALL_TISSUE: ("tissue", 1), "one": ("tissue_class", 0), "two": ("tissue_class", 1)}
    for name, (label, value) in labels.items():
        px_mm2 = (finished.scale_um(f"labels/{label}")[0] / 1000) ** 2
        area = (finished.labels[label][0][...] == value).sum() * px_mm2
        assert float(found[name]["area_mm2"]) == pytest.approx(area, abs=1e-6)
        here = nuclei if name == ALL_TISSUE else nuclei[nuclei["tissue_class"] == name]
        assert int(found[name]["nuclei"]) == len(here)
        if area:
            assert float(found[name]["nuclei_per_mm2"]) == pytest.approx(len(here) / area, rel=1e-3)
        if len(here):
            assert float(found[name]["area_um2_mean"]) == pytest.approx(here["area_um2"].mean(), rel=1e-5)
            assert float(found[name]["nearest_nucleus_um_median"]) == pytest.approx(
                here["nearest_nucleus_um"].median(), rel=1e-5
            )


def test_a_workflow_without_nuclei_has_areas_alone(tiled: Result) -> None:
    found = rows(tiled.folder)
    assert list(found) == [ALL_TISSUE]
    assert list(found[ALL_TISSUE]) == ["class", "area_mm2"]
    assert float(found[ALL_TISSUE]["area_mm2"]) > 0


def test_a_distribution_does_not_depend_on_the_order() -> None:
    values = np.random.default_rng(0).lognormal(0, 9, 1001)
    values[7] = np.nan
    found = _distribution("x", values)
    assert found == _distribution("x", values[::-1])
    assert found["x_median"] == pytest.approx(np.nanmedian(values), rel=1e-5)
    assert _distribution("x", np.full(3, np.nan)) == dict.fromkeys(found)
