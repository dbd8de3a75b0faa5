"""The estimate is above what a slide takes, and a full disk stops it before the work."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wsipipe.common.folder_size import bytes_under
from wsipipe.errors import StorageFullError
from wsipipe.pipeline.planning.disk_space import RESERVE, check_space, estimate_bytes
from wsipipe.stages.workflow import Workflow
from wsipipe.store.result import Result


def test_the_estimate_is_above_the_result(
    finished: Result, small_slide: Path, tiny_workflow: Workflow, plan_for: Any
) -> None:
    estimate = estimate_bytes(plan_for(small_slide, tiny_workflow))
    assert bytes_under(finished.folder) < estimate < 20 * bytes_under(finished.folder)


def test_a_disk_that_is_too_small_stops_the_slide(
    small_slide: Path, tiny_workflow: Workflow, plan_for: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for(small_slide, tiny_workflow)
    needed = RESERVE * estimate_bytes(plan)
    free = SimpleNamespace(free=int(needed) - 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(StorageFullError, match=r"needs about .* Free"):
        check_space(tmp_path / "not" / "yet", plan, used_bytes=0)
    check_space(tmp_path, plan, used_bytes=10_000)
