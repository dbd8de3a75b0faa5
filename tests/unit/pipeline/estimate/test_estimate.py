"""What a run will take: tissue as in the result, times by the measured speed, bad slides as rows."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wsipipe.geometry import Region
from wsipipe.pipeline.estimate import estimate
from wsipipe.pipeline.estimate.calibration import Speed, calibrate
from wsipipe.pipeline.estimate.estimate import estimate_planned, estimate_run
from wsipipe.pipeline.estimate.tissue_area import _densest, tissue_area
from wsipipe.pipeline.options import Resources
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.planner import make_planner
from wsipipe.pipeline.stage_run import Device
from wsipipe.stages.workflow import Workflow, load_workflow
from wsipipe.store.result import Result

SPEED = Speed(tissue=30e-6, canvas=2e-6, network=20e-6)


@pytest.fixture
def tile_plan(plan_for: Callable[[Path, Workflow], Plan], small_slide: Path) -> Plan:
    return plan_for(small_slide, load_workflow("tiling_only", []))


def test_the_tissue_is_that_of_the_result(tile_plan: Plan, tiled: Result) -> None:
    labels = tiled.arrays.labels["tissue"][0][...]
    area = tissue_area(tile_plan, 128)
    times = tile_plan.stages[0].downsample
    assert area.tissue_px == (labels == 1).sum() * times**2 > 0
    assert area.tissue_mm2 == pytest.approx(area.tissue_px * tile_plan.facts.grid.mpp**2 / 1e6)
    assert area.canvas_px == tile_plan.facts.grid.shape[0] * tile_plan.facts.grid.shape[1]
    found = labels[area.densest.scaled(1, times).slices]
    assert (found == 1).mean() >= (labels == 1).mean()


def test_the_densest_square_holds_most_tissue() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:40] = True
    mask[0:3, 0:3] = True
    assert _densest(mask, 10) == Region(10, 30, 10, 10)
    assert _densest(mask[:8, :8], 10) == Region(0, 0, 8, 8)


def test_the_speed_of_a_whole_workflow(
    small_slide: Path, tiny_workflow: Workflow, plan_for: Callable[[Path, Workflow], Plan], tmp_path: Path
) -> None:
    planner = make_planner(tiny_workflow, [], None)
    plan = plan_for(small_slide, tiny_workflow)
    speed = calibrate(planner, plan, tissue_area(plan, 128).densest, Device("cpu"))
    assert speed.canvas > 0
    assert speed.tissue > speed.network > 0


@pytest.fixture
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "calibrate", lambda *_: SPEED)


@pytest.mark.usefixtures("known_speed")
def test_the_time_follows_from_areas_and_workers(small_slide: Path, tile_plan: Plan) -> None:
    area = tissue_area(tile_plan, 128)
    (found,) = estimate_run("tiling_only", small_slide, resources=Resources(workers=2))
    seconds = (30e-6 * area.tissue_px + 2e-6 * area.canvas_px) / 2
    assert found.minutes == pytest.approx(seconds / 60)
    assert found.shards == 2
    assert found.disk_gb > 0


@pytest.mark.usefixtures("known_speed")
@pytest.mark.parametrize("gpus", [1, 2])
def test_a_gpu_and_the_other_workers_share_the_work(
    gpus: int, small_slide: Path, tile_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "gpu_names", lambda: ["0", "1"][:gpus])
    area = tissue_area(tile_plan, 128)
    (found,) = estimate_run("tiling_only", small_slide, resources=Resources(workers=8))
    network = 20e-6 * area.tissue_px / gpus
    others = (10e-6 * area.tissue_px + 2e-6 * area.canvas_px) / 8
    assert found.minutes == pytest.approx(max(network, others) / 60)


@pytest.mark.usefixtures("known_speed")
def test_a_slide_that_does_not_open_is_a_row(small_slide: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"nothing")
    bad, good = estimate_run("tiling_only", [broken, small_slide])
    assert bad.error.startswith("SLIDE_UNREADABLE: ")
    assert not good.error
    assert good.minutes > 0


@pytest.mark.usefixtures("known_speed")
def test_planned_slides_are_not_planned_again(
    small_slide: Path, tile_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wanted,) = estimate_run("tiling_only", small_slide, resources=Resources(workers=2))

    def opened(*_: object) -> None:
        raise AssertionError("the slide was opened to plan it again")

    monkeypatch.setattr("wsipipe.pipeline.planning.slide_facts.inspect_slide", opened)
    assert list(estimate_planned([tile_plan], Resources(workers=2))) == [wanted]
    assert list(estimate_planned([], Resources(memory_budget=1))) == []
    # The sister: this is what a second look would do.
    with pytest.raises(AssertionError, match="again"):
        list(estimate_run("tiling_only", small_slide))


@pytest.mark.usefixtures("known_speed")
def test_a_memory_budget_decides_the_workers(small_slide: Path, tile_plan: Plan) -> None:
    area = tissue_area(tile_plan, 128)
    (found,) = estimate_run("tiling_only", small_slide, resources=Resources(4, memory_budget=1_200_000_000))
    seconds = 30e-6 * area.tissue_px + 2e-6 * area.canvas_px
    workers = seconds / 60 / found.minutes
    assert round(workers, 6) in (1, 2, 3)


@pytest.mark.usefixtures("known_speed")
def test_the_command(typed: Callable[..., tuple[int, str, str]], small_slide: Path, tmp_path: Path) -> None:
    code, out, _ = typed("plan", "tiling_only", small_slide, small_slide.parent, "--workers", 2)
    assert code == 64, out
    code, out, _ = typed("plan", "tiling_only", small_slide, "--workers", 2)
    assert code == 0
    header, row = out.splitlines()
    assert header.split() == ["slide", "tissue", "mm2", "canvas", "Mpx", "shards", "disk", "GB", "minutes"]
    assert row.split()[-3] == "2"
    code, out, _ = typed("plan", "tiling_only", small_slide, "--json")
    assert json.loads(out)["slides"][0]["shards"] == 2
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"nothing")
    code, out, _ = typed("plan", "tiling_only", small_slide, broken)
    assert code == 2
    assert "SLIDE_UNREADABLE" in out
