"""A task may be repeated, its tables are never stale, and it runs the network that was planned."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsipipe.errors import InternalError, ModelError, MppError, SlideError
from wsipipe.geometry import Region
from wsipipe.pipeline.execution import shard_task
from wsipipe.pipeline.execution.shard import ShardTask
from wsipipe.pipeline.execution.shard_task import run_shard
from wsipipe.pipeline.execution.usage import Meter
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.slide_facts import inspect_slide
from wsipipe.stages.grid import lattice_px
from wsipipe.stages.workflow import Workflow
from wsipipe.store.arrays import create_array
from wsipipe.store.tables import load_table, pack_table
from wsipipe.tiling.collect import collect


@pytest.fixture(scope="module")
def plan(small_slide: Path, tiny_workflow: Workflow, plan_for: Any) -> Plan:
    return plan_for(small_slide, tiny_workflow)


@pytest.fixture
def work(plan: Plan, tmp_path: Path) -> Path:
    for stage in plan.stages:
        for spec in plan.specs(stage):
            create_array(tmp_path, spec)
    run_shard(ShardTask(plan, tmp_path, "tissue", (0, 0)))
    return tmp_path


def test_a_repeated_task_leaves_the_same_bytes(plan: Plan, work: Path) -> None:
    task = ShardTask(plan, work, "tile", (1, 0))
    first = run_shard(task)
    assert run_shard(task) == first
    assert [file.path for file in first.files] == ["result/slide.zarr/0/c/0/1/0"]


def test_the_next_shard_is_read_ahead(plan: Plan, work: Path) -> None:
    alone = run_shard(ShardTask(plan, work, "tile", (0, 1)))
    run_shard(ShardTask(plan, work, "tile", (0, 0), ahead=(0, 1)))
    after = run_shard(ShardTask(plan, work, "tile", (0, 1)))
    assert (alone.read_ahead_hit, after.read_ahead_hit) == (False, True)
    assert after.files == alone.files


def test_a_read_that_fails_ahead_is_made_again(
    plan: Plan, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise SlideError("the slide was closed meanwhile")

    with monkeypatch.context() as patch:
        patch.setattr(shard_task, "_read_all", unreadable)
        run_shard(ShardTask(plan, work, "tile", (0, 0), ahead=(0, 1)))
    done = run_shard(ShardTask(plan, work, "tile", (0, 1)))
    assert not done.read_ahead_hit
    assert done.files


def test_tables_come_back_and_follow_their_file(tmp_path: Path) -> None:
    path = tmp_path / "seeds.npz"
    for values in ([1, 2], [3, 4, 5]):
        path.write_bytes(pack_table({"b": np.array(values, np.uint32), "a": np.zeros((2, 2))}))
        assert load_table(path)["b"].tolist() == values
        assert load_table(path) is load_table(path)


def test_the_same_table_has_the_same_bytes() -> None:
    one, other = {"a": np.arange(3), "b": np.ones(2)}, {"b": np.ones(2), "a": np.arange(3)}
    assert pack_table(one) == pack_table(other)


def test_another_network_than_planned_is_refused(plan: Plan, work: Path) -> None:
    run_shard(ShardTask(plan, work, "tile", (0, 0)))
    card = plan.cards["segment"].model_copy(update={"temperature": 3.0})
    other = replace(plan, cards=plan.cards | {"segment": card})
    with pytest.raises(ModelError, match=r"segment\.weights"):
        run_shard(ShardTask(other, work, "segment", (0, 0)))


def test_facts_of_a_slide(small_slide: Path, plan: Plan) -> None:
    facts = plan.facts
    assert (facts.mpp, facts.mpp_source, facts.levels[0]) == (0.25, "vendor", (1024, 1024))
    assert facts.grid.shape == (512, 512)
    assert lattice_px(plan.workflow.tile.mpp, plan.cards) == 64


def test_detail_is_not_invented(small_slide: Path) -> None:
    with pytest.raises(MppError, match=r"tile\.mpp"):
        inspect_slide(collect([small_slide], mpp=2.0)[0], 0.5, 64, "cpu")


def test_a_kernel_reads_elsewhere_only_if_that_is_declared(plan: Plan, work: Path) -> None:
    """The shards there may not be computed yet."""
    stage, elsewhere, core = plan.stage("tile"), Region(256, 256, 256, 256), Region(0, 0, 256, 256)
    task = ShardTask(plan, work, "tile", (0, 0))
    reader = shard_task._Reader(task, stage, core, None, Meter())
    with pytest.raises(InternalError, match="anywhere=True"):
        reader.read("canvas", elsewhere)
    assert reader.read("canvas").region == core
    free = replace(stage, reads=(replace(stage.reads[0], anywhere=True),))
    reader = shard_task._Reader(task, free, core, None, Meter())
    assert reader.read("canvas", elsewhere).region == elsewhere


def test_a_shard_sees_the_tables_of_earlier_stages_alone(plan: Plan, work: Path) -> None:
    """Those of later ones may be there or not, as it happens."""
    (work / "tables").mkdir(exist_ok=True)
    for name in ("seeds", "instances"):
        (work / "tables" / f"{name}.npz").write_bytes(pack_table({"a": np.arange(2)}))
    task = ShardTask(plan, work, "segment", (0, 0))
    assert shard_task._tables(task, plan.stage("segment")) == {}
    assert list(shard_task._tables(task, plan.stage("grow"))) == ["seeds"]


def test_a_shard_reports_what_it_took(plan: Plan, work: Path) -> None:
    done = run_shard(ShardTask(plan, work, "tile", (0, 0)))
    used = done.usage
    assert used.written_bytes == sum(file.size_bytes for file in done.files) > 0
    assert used.canvas_mpx == 256 * 256 / 1e6
    assert 0 < used.reading_s + used.writing_s <= used.busy_s
    assert (used.loading_s, used.on_gpu) == (0.0, False)
    assert used.peak_memory_mb > 10
