"""A task is tried again after a death or a lack of memory, and given up in the end."""

import os
from pathlib import Path

import pytest

from wsipipe.errors import OutOfMemoryError, StalledError, WorkerLostError
from wsipipe.pipeline.cluster.attempts import (
    MOST_DEATHS,
    MOST_STALLS,
    STALLED,
    process_start_time,
    run_attempt,
)


def number(arguments: str, earlier: int) -> tuple[str, int]:
    return arguments, earlier


def test_a_task_knows_how_many_died_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsipipe.pipeline.cluster.attempts.SETTLE_S", 0.0)
    marker = tmp_path / "markers" / "a"
    assert run_attempt(marker, number, ("x",)) == ("x", 0)
    marker.write_text("host 1\nhost 2\n")
    assert run_attempt(marker, number, ("x",)) == ("x", 2)
    assert not marker.exists()


def test_the_mark_stands_while_the_task_runs_and_goes_when_it_fails(tmp_path: Path) -> None:
    marker = tmp_path / "a"

    def fails(earlier: int) -> None:
        assert len(marker.read_text().splitlines()) == 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_attempt(marker, fails, ())
    assert not marker.exists()


def test_too_many_deaths_give_the_task_up(tmp_path: Path) -> None:
    marker = tmp_path / "a"
    marker.write_text("host 1\n" * MOST_DEATHS)
    with pytest.raises(WorkerLostError, match="leave the slide out"):
        run_attempt(marker, number, ("x",))
    marker.write_text(f"host 1\n{STALLED}\n" * MOST_STALLS)
    with pytest.raises(StalledError, match="--shard-timeout"):
        run_attempt(marker, number, ("x",))


def test_a_process_is_known_by_its_birth() -> None:
    assert process_start_time(os.getpid()) == process_start_time(os.getpid())
    assert process_start_time(os.getpid()) != process_start_time(1)
    assert process_start_time(1 << 30) is None


def test_short_memory_is_tried_once_more_with_the_next_number(tmp_path: Path) -> None:
    tried = []

    def short(earlier: int) -> str:
        tried.append(earlier)
        if len(tried) == 1:
            raise MemoryError
        return "done"

    assert run_attempt(tmp_path / "a", short, ()) == "done"
    assert tried == [0, 1]


def test_short_memory_twice_fails_the_slide(tmp_path: Path) -> None:
    def short(earlier: int) -> None:
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match="--memory-budget"):
        run_attempt(tmp_path / "a", short, ())
