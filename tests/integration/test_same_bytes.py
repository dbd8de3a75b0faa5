"""P5: one manifest for any workers, patches, order of shards and lost processes; bit rot is found."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from wsipipe.pipeline.cluster.client import connect
from wsipipe.pipeline.cluster.task_pool import TaskPool
from wsipipe.pipeline.maintenance import verify
from wsipipe.pipeline.planning.shard_graph import ShardGraph
from wsipipe.pipeline.reporting.progress import ShardProgress
from wsipipe.pipeline.reporting.slide_log import RunCallbacks
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.stages.workflow import Workflow
from wsipipe.store.result import Result

pytestmark = pytest.mark.timeout(1200)


def least_urgent(graph: ShardGraph, networks: tuple[bool, ...]) -> Any:
    """The ready shard that would be the last."""
    ready = [shard for each in networks for shard in graph._ready[each]]
    if not ready:
        return None
    _, index, name = last = max(ready)
    for heap in graph._ready.values():
        heap[:] = sorted(shard for shard in heap if shard != last)
    return graph._stages[name], index


@pytest.mark.parametrize(
    ("workers", "patch", "backwards", "killed"),
    [(1, 64, False, True), (1, 256, True, False), (2, 128, True, True), (2, 64, True, False)],
)
def test_nothing_but_the_plan_matters(
    small_slide: Path,
    tiny_workflow: Workflow,
    finished: Result,
    plan_for: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    patch: int,
    backwards: bool,
    killed: bool,
) -> None:
    segment = tiny_workflow.segment.model_copy(update={"patch_px": patch})
    classify = tiny_workflow.classify.model_copy(update={"patch_cells": patch // 32})
    workflow = tiny_workflow.model_copy(update={"segment": segment, "classify": classify})
    plan = plan_for(small_slide, workflow)
    if backwards:
        monkeypatch.setattr(ShardGraph, "take", least_urgent)
    with connect(workers=workers, threads=1) as client:
        pool = TaskPool(client, tmp_path / "marks")
        if killed:

            def kill(step: ShardProgress) -> None:
                if (step.stage, step.done) == ("segment", 2):
                    raise RuntimeError("killed")

            with pytest.raises(RuntimeError, match="killed"):
                run_slide(pool, plan, tmp_path / "out", Device(), RunCallbacks(kill))
        run_slide(pool, plan, tmp_path / "out", Device())
    assert Result(tmp_path / "out" / plan.slide.slide_id).manifest == finished.manifest


def test_a_flipped_bit_is_found_in_every_published_file(finished: Result, tmp_path: Path) -> None:
    folder = shutil.copytree(finished.folder, tmp_path / "slide")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) == len(finished.manifest["files"]) + 1
    missed = []
    for i, path in enumerate(files):
        data = path.read_bytes()
        at = i * 7919 % len(data)
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << i % 8)]) + data[at + 1 :])
        found = verify(folder)
        if len(found) != 1 or not found[0].startswith(path.relative_to(folder).as_posix()):
            missed.append((path, found))
        path.write_bytes(data)
    assert missed == []
    assert verify(folder) == []


def test_damage_names_the_shard(finished: Result, tmp_path: Path) -> None:
    folder = shutil.copytree(finished.folder, tmp_path / "slide")
    (folder / "slide.zarr/labels/nuclei/0/c/0/1").unlink()
    assert verify(folder) == ["slide.zarr/labels/nuclei/0/c/0/1: shard row 0, column 1 of labels/nuclei/0"]
