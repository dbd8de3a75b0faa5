"""The shards of a slide run without a cluster: in any order that the graph allows, and never too early."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wsipipe.errors import InternalError
from wsipipe.pipeline import stage_run
from wsipipe.pipeline.cluster.task_batch import TaskCall
from wsipipe.pipeline.execution.shard import ShardResult, ShardTask
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.reporting.progress import ShardProgress
from wsipipe.pipeline.reporting.slide_log import RunCallbacks
from wsipipe.pipeline.reporting.usage import Usage
from wsipipe.pipeline.stage_run import Device, run_stages
from wsipipe.stages.workflow import load_workflow
from wsipipe.store.ledger import Ledger


class OneByOne:
    """A pool that ends the task it got last, of a window of tasks."""

    def __init__(self, window: int) -> None:
        self.window, self.calls = window, list[TaskCall[Any]]()

    def each(self, source: Any) -> Iterator[Any]:
        waiting: list[TaskCall[Any]] = []
        while True:
            while len(waiting) < self.window and (call := source((True, False))) is not None:
                waiting.append(call)
                self.calls.append(call)
            if not waiting:
                return
            call = waiting.pop()
            yield call.function(*call.arguments, 0)


def done(task: ShardTask, attempt: int = 0) -> ShardResult:
    """A shard that takes a second and writes nothing."""
    return ShardResult(task.stage, task.index, usage=Usage(busy_s=1.0, canvas_mpx=0.5))


@pytest.fixture
def plan(small_slide: Path, plan_for: Any) -> Plan:
    return plan_for(small_slide, load_workflow("tiling_only", ["tile.shard_px=256", "tile.chunk_px=128"]))


def test_every_shard_runs_once_and_is_recorded(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_run, "run_shard", done)
    pool, steps = OneByOne(3), list[ShardProgress]()
    shards = plan.summary()["shards"]
    with Ledger(tmp_path) as ledger:
        usage = run_stages(pool, plan, tmp_path, ledger, Device(), RunCallbacks(steps.append))
        assert {stage: len(ledger.files(stage)) for stage in shards} == shards
    assert {stage: used.busy_s for stage, used in usage.items()} == shards
    assert len({call.name for call in pool.calls}) == len(pool.calls) == sum(shards.values())
    last = {step.stage: (step.done, step.total) for step in steps}
    assert last == {stage: (count, count) for stage, count in shards.items()}
    priorities = {call.arguments[0].stage: call.priority for call in pool.calls}
    assert priorities["tissue"] < priorities["tile"] < 0


def test_stages_that_never_end_are_an_error(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slide must not be published without them."""
    monkeypatch.setattr(stage_run, "run_shard", done)
    tile = plan.stage("tile")
    own = replace(tile.reads[0], name=tile.writes[0].name)
    stages = tuple(replace(each, reads=(own,)) if each is tile else each for each in plan.stages)
    monkeypatch.setitem(plan.__dict__, "stages", stages)
    with Ledger(tmp_path) as ledger, pytest.raises(InternalError, match="Shards of tile"):
        run_stages(OneByOne(1), plan, tmp_path, ledger, Device(), RunCallbacks())
