"""Status beside a run, leftovers listed before they go, and what failed run again."""

import json
import shutil
from pathlib import Path

import pytest

from wsipipe.common.file_lock import hold_lock
from wsipipe.errors import ExitCode, LockedError, StorageError
from wsipipe.pipeline.maintenance import clean, finished_slides, leftovers, status
from wsipipe.pipeline.reporting.run_record import read_record
from wsipipe.pipeline.retry import retry
from wsipipe.pipeline.run import Resources, run
from wsipipe.store.ledger import Ledger
from wsipipe.store.result import Result

COARSE = ["tile.mpp=2"]


@pytest.fixture
def out(small_slide: Path, scheduler: str, tmp_path: Path) -> Path:
    """OUT of one finished and one broken slide."""
    (tmp_path / "bad.svs").write_bytes(b"no slide")
    slides = [small_slide, tmp_path / "bad.svs"]
    run("tiling_only", slides, tmp_path / "out", settings=COARSE, resources=Resources(scheduler=scheduler))
    return tmp_path / "out"


def test_status_tells_of_every_slide(out: Path) -> None:
    found = status(out)
    assert [(slide["status"], slide["code"]) for slide in found["slides"]] == [
        ("done", ""),
        ("failed", "SLIDE_UNREADABLE"),
    ]
    assert found["working"] is None
    with hold_lock(out / ".work/run.lock", "out"):
        assert "process" in status(out)["working"]
    with pytest.raises(StorageError, match=r"no run\.json"):
        status(out.parent)


def test_a_killed_run_is_interrupted_and_its_shards_are_counted(out: Path) -> None:
    record = read_record(out)
    record["slides"][1]["status"] = "running"
    (out / "run.json").write_text(json.dumps(record))
    work = out / ".work" / f"{record['slides'][1]['slide_id']}.0123456789abcdef"
    work.mkdir()
    with Ledger(work) as ledger:
        ledger.record("tile", (0, 0), [])
        ledger.record("tile", (0, 1), [])
    slide = status(out)["slides"][1]
    assert (slide["status"], slide["shards_done"]) == ("interrupted", 2)
    (listed,) = leftovers(out)
    assert (listed.path, "2 shards done" in listed.what) == (work, True)
    with hold_lock(out / ".work/run.lock", "out"), pytest.raises(LockedError):
        clean(out, [listed])
    clean(out, [listed])
    assert leftovers(out) == []
    assert len(finished_slides(out)) == 1


def test_retry_does_what_failed_and_nothing_else(out: Path, small_slide: Path, scheduler: str) -> None:
    resources = Resources(scheduler=scheduler)
    assert retry(out, "STORAGE_FULL", resources) == []
    shutil.copy(small_slide, out.parent / "bad.svs")
    (result,) = retry(out, "SLIDE_UNREADABLE", resources)
    assert result.exit_code == ExitCode.OK
    assert [slide.status for slide in result.slides] == ["done"]
    assert [slide["status"] for slide in read_record(out)["slides"]] == ["done", "done"]
    assert Result(finished_slides(out)[0]).attributes["canvas_mpp"] == 2


def test_restart_recomputes_and_keeps_the_earlier_result(
    out: Path, small_slide: Path, scheduler: str
) -> None:
    from wsipipe.pipeline.options import RunPolicy

    before = {path.name: Result(path).manifest for path in finished_slides(out)}
    again = run(
        "tiling_only",
        small_slide,
        out,
        settings=COARSE,
        resources=Resources(scheduler=scheduler),
        policy=RunPolicy(restart=True),
    )
    assert [slide.status for slide in again.slides] == ["done"]
    assert {path.name: Result(path).manifest for path in finished_slides(out)} == before
    assert [left.what for left in leftovers(out)] == ["an earlier result that was replaced"]
