"""Records of parts are read as one, and say which parts are missing."""

import json
from pathlib import Path

import pytest

from wsipipe.errors import NoResultError
from wsipipe.pipeline.parts import Part
from wsipipe.pipeline.reporting.outcome import SlideOutcome
from wsipipe.pipeline.reporting.part_records import has_record, read_record
from wsipipe.pipeline.reporting.run_record import RunRecord, RunRequest
from wsipipe.stages.workflow import load_workflow
from wsipipe.tiling.collect import SlideInput

REQUEST = RunRequest(load_workflow("tiling_only"))


def slides(count: int) -> list[SlideInput]:
    return [SlideInput(f"s-{i}", Path(f"/s/{i}.svs"), None, None, f"s-{i}") for i in range(count)]


def run_part(
    out: Path, part: Part | None, batch: list[SlideInput], status: str = "done", end: bool = True
) -> None:
    """Record a run in which every slide has the same outcome."""
    share = part.share(batch) if part else batch
    record = RunRecord(out, REQUEST, share, part.batch(batch) if part else None)
    record.processors([f"processor {part}"])
    record.update(*(SlideOutcome(slide.slide_id, slide.path, status) for slide in share))
    record.end({"worker 0": 100.0}) if end else record.close()


def statuses(out: Path) -> dict[str, str]:
    return {slide["slide_id"]: slide["status"] for slide in read_record(out)["slides"]}


def test_parts_are_read_as_one_run(tmp_path: Path) -> None:
    run_part(tmp_path, Part(1, 2), slides(3))
    first = read_record(tmp_path)
    assert first["notes"] == [
        "Parts that have not started: 2/2. Their slides are not listed; run these parts."
    ]
    assert "2/2" in (tmp_path / "report.html").read_text()
    run_part(tmp_path, Part(2, 2), slides(3), "kept")
    run = read_record(tmp_path)
    assert statuses(tmp_path) == {"s-0": "done", "s-2": "done", "s-1": "kept"}
    assert run["notes"] == []
    assert run["processors"] == ["processor 1/2", "processor 2/2"]
    assert run["peak_memory_mb"] == {"part 1/2, worker 0": 100.0, "part 2/2, worker 0": 100.0}
    assert run["began"] == first["began"] <= run["ended"]
    report = (tmp_path / "report.html").read_text()
    assert all(f'id="s-{i}"' in report for i in range(3))
    assert "not started" not in report
    assert {path.name for path in tmp_path.iterdir()} == {
        *("run.1-of-2.json", "run.2-of-2.json", "report.html", "summary.csv", ".work"),
    }


def test_a_part_that_was_killed_leaves_the_batch_open(tmp_path: Path) -> None:
    run_part(tmp_path, Part(1, 2), slides(2))
    run_part(tmp_path, Part(2, 2), slides(2), "running", end=False)
    assert read_record(tmp_path)["ended"] is None
    assert statuses(tmp_path) == {"s-0": "done", "s-1": "running"}


def test_parts_with_other_slides_are_reported(tmp_path: Path) -> None:
    run_part(tmp_path, Part(1, 2), slides(3))
    run_part(tmp_path, Part(2, 2), slides(4))
    (note,) = read_record(tmp_path)["notes"]
    assert note.startswith(
        "The parts were given different slides (slides of the batch by part: 1/2: 3, 2/2: 4)"
    )


def test_a_whole_run_takes_the_records_of_parts_over(tmp_path: Path) -> None:
    run_part(tmp_path, Part(1, 2), slides(4), "failed")
    run_part(tmp_path, None, slides(1))
    assert statuses(tmp_path) == {"s-0": "done", "s-2": "failed"}
    assert not list(tmp_path.glob("run.*-of-*.json"))
    assert "notes" not in read_record(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text()) == read_record(tmp_path)


def test_the_newest_batch_counts(tmp_path: Path) -> None:
    """Of parts of 2, of 3 and a whole run before them, the last entry of each slide stays."""
    run_part(tmp_path, None, slides(2), "failed")
    run_part(tmp_path, Part(1, 2), slides(2), "skipped")
    assert statuses(tmp_path) == {"s-0": "skipped", "s-1": "failed"}
    older = json.loads((tmp_path / "run.1-of-2.json").read_text())
    (tmp_path / "run.1-of-2.json").write_text(json.dumps(older | {"began": "2020-01-01T00:00:00+00:00"}))
    run_part(tmp_path, Part(1, 3), slides(2), "kept")
    assert statuses(tmp_path) == {"s-0": "kept", "s-1": "failed"}
    (note,) = read_record(tmp_path)["notes"]
    assert note.startswith("Parts that have not started: 2/3, 3/3.")


def test_many_missing_parts_are_one_short_note(tmp_path: Path) -> None:
    run_part(tmp_path, Part(1, 999), slides(1))
    (note,) = read_record(tmp_path)["notes"]
    assert "21/999 and 978 more." in note


def test_no_record_at_all(tmp_path: Path) -> None:
    (tmp_path / "run.x-of-2.json").write_text("{}")
    assert not has_record(tmp_path)
    with pytest.raises(NoResultError, match=r"no run\.json"):
        read_record(tmp_path)
