"""Idle time runs from the end of a task to the start of the next."""

from types import SimpleNamespace

import pytest

from wsipipe.pipeline.cluster import idle
from wsipipe.pipeline.cluster.idle import idle_before_s, task_running


def test_only_the_time_between_tasks_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 15.0, 17.5, 20.0])
    monkeypatch.setattr(idle, "_thread", idle._Thread())
    idle._thread.last_end = 7.0
    # The clock of this module alone: event loops of other threads read that of all.
    monkeypatch.setattr(idle, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with task_running():
        assert idle_before_s() == 3.0
    with pytest.raises(ValueError, match=r"^2\.5$"), task_running():
        raise ValueError(idle_before_s())
    assert idle._thread.last_end == 20.0
