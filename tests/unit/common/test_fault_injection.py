"""Faults are inert outside of tests, and fire where, when and as often as they were asked to."""

from pathlib import Path

import pytest

from wsipipe.common import fault_injection


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(fault_injection, "_passages", fault_injection.Counter())
    monkeypatch.setenv("WSIPIPE_TEST", "1")
    return monkeypatch


def test_nothing_fires_outside_of_tests(asked: pytest.MonkeyPatch) -> None:
    asked.setenv("WSIPIPE_FAULT", "model.oom:1")
    asked.delenv("WSIPIPE_TEST")
    assert not fault_injection.fault_point("model.oom")
    asked.setenv("WSIPIPE_TEST", "1")
    with pytest.raises(MemoryError):
        fault_injection.fault_point("model.oom")


def test_the_nth_passage_of_one_point_fires(asked: pytest.MonkeyPatch) -> None:
    asked.setenv("WSIPIPE_FAULT", "model.nan:3,shard.full:1")
    assert [fault_injection.fault_point("model.nan") for _ in range(4)] == [False, False, True, True]
    with pytest.raises(OSError, match="injected fault"):
        fault_injection.fault_point("shard.full")


def test_a_word_chooses_the_slide(asked: pytest.MonkeyPatch) -> None:
    asked.setenv("WSIPIPE_FAULT", "model.nan:1@bad")
    assert [fault_injection.fault_point("model.nan", slide) for slide in ("good", "bad")] == [False, True]


def test_once_is_once_in_all_processes(asked: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked.setenv("WSIPIPE_FAULT", "model.nan:1")
    asked.setenv("WSIPIPE_FAULT_ONCE", str(tmp_path))
    assert [fault_injection.fault_point("model.nan") for _ in range(2)] == [True, False]
