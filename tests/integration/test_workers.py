"""P1 and P3 under load: lost, hung and suspended workers change nothing; a fatal slide fails alone."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from wsipipe.errors import ExitCode
from wsipipe.pipeline.options import RunPolicy
from wsipipe.pipeline.reporting.progress import NullReporter, ShardProgress
from wsipipe.pipeline.run import Resources, run
from wsipipe.stages.workflow import Workflow
from wsipipe.store import manifest
from wsipipe.store.result import Result

pytestmark = pytest.mark.timeout(1200)
SMALL = ["tile.shard_px=256", "tile.chunk_px=128"]
TWO = Resources(workers=2, device="cpu")
Workers = Callable[[], list[psutil.Process]]


class Killer(NullReporter):
    """Kills a worker at regular intervals, and once suspends one for a while."""

    def __init__(self, workers: Workers, every: int, most: int) -> None:
        self.workers, self.every, self.most = workers, every, most
        self.shards = self.kills = 0
        self.notes: list[str] = []

    def message(self, text: str) -> None:
        self.notes.append(text)

    def shard(self, step: ShardProgress) -> None:
        self.shards += 1
        if self.shards % self.every or self.kills >= self.most:
            return
        victims = self.workers()
        if not victims:
            return
        victim = victims[self.shards % len(victims)]
        with suppress(psutil.NoSuchProcess):
            if self.kills == 1:
                victim.send_signal(signal.SIGSTOP)
                threading.Timer(2, go_on, [victim]).start()
            else:
                victim.kill()
            self.kills += 1


def go_on(stopped: psutil.Process) -> None:
    """Resumes a suspended process, unless it has been killed."""
    with suppress(psutil.NoSuchProcess):
        stopped.send_signal(signal.SIGCONT)


def test_workers_killed_under_load_change_nothing(
    small_slide: Path, tiny_workflow: Workflow, finished: Result, tmp_path: Path, workers: Workers
) -> None:
    killer = Killer(workers, every=8, most=5)
    killed = run(tiny_workflow, small_slide, tmp_path / "killed", resources=TWO, reporter=killer)
    failures = [(slide.code, slide.message) for slide in killed.slides]
    assert killed.exit_code == ExitCode.OK, (failures, killer.notes)
    assert killer.kills == 5, (killer.shards, killer.kills)
    assert killed.results()[0].manifest == finished.manifest


def test_poison_and_hanging_slides_fail_alone(
    small_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slides = [Path(shutil.copy(small_slide, tmp_path / f"{name}.svs")) for name in ("poison", "hang", "good")]
    monkeypatch.setenv("WSIPIPE_TEST", "1")
    monkeypatch.setenv("WSIPIPE_FAULT", "worker.segfault:1@poison,reader.hang:1@hang")
    began = time.monotonic()
    done = run(
        "tiling_only",
        slides,
        tmp_path / "out",
        settings=SMALL,
        resources=TWO,
        policy=RunPolicy(shard_timeout_s=10),
    )
    poison, hang, good = done.slides
    assert (poison.code, hang.code, good.status) == ("WORKER_LOST", "STALLED", "done")
    assert "no progress" in "\n".join(hang.log)
    assert done.exit_code == ExitCode.SOME_SLIDES_FAILED
    assert manifest.damaged(done.results()[0].folder) == []
    # A poison slide is given up within a minute on a quiet machine; under test others share it.
    assert time.monotonic() - began < 60 * max(1.0, os.getloadavg()[0])


def test_short_of_memory_once_changes_nothing_and_always_is_an_error(
    small_slide: Path,
    tiny_workflow: Workflow,
    finished: Result,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Resources(workers=1, device="cpu")
    monkeypatch.setenv("WSIPIPE_TEST", "1")
    monkeypatch.setenv("WSIPIPE_FAULT", "model.oom:1")
    (failed,) = run(tiny_workflow, small_slide, tmp_path / "always", resources=one).slides
    assert failed.code == "OUT_OF_MEMORY"
    assert "--memory-budget" in failed.message
    (tmp_path / "once").mkdir()
    monkeypatch.setenv("WSIPIPE_FAULT_ONCE", str(tmp_path / "once"))
    once = run(tiny_workflow, small_slide, tmp_path / "short", resources=one)
    assert list((tmp_path / "once").iterdir())
    assert once.results()[0].manifest == finished.manifest


def test_failures_are_reported_in_full(small_slide: Path, tmp_path: Path, scheduler: str) -> None:
    data = bytearray(small_slide.read_bytes())
    broken = tmp_path / "cut.svs"
    broken.write_bytes(data[: len(data) // 3])
    done = run(
        "tiling_only",
        [broken, small_slide],
        tmp_path / "out",
        settings=SMALL,
        resources=Resources(scheduler=scheduler),
    )
    cut, good = done.slides
    assert (cut.status, good.status) == ("failed", "done")
    assert cut.code == "SLIDE_UNREADABLE"
    assert any("SLIDE_UNREADABLE" in line for line in cut.log)


def test_no_further_slide_is_started_after_too_many_failures(tmp_path: Path, scheduler: str) -> None:
    for i in range(6):
        (tmp_path / f"{i}.svs").write_bytes(b"no slide")
    done = run(
        "tiling_only",
        sorted(tmp_path.glob("*.svs")),
        tmp_path / "out",
        resources=Resources(workers=1, scheduler=scheduler),
        policy=RunPolicy(max_failures="20%"),
    )
    states = [slide.status for slide in done.slides]
    assert done.exit_code == ExitCode.FAILED
    assert states.count("failed") in {2, 3}
    assert states.count("skipped") == 6 - states.count("failed")
