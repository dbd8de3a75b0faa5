"""The run record, ``run.json``: requests and slide statuses, up to date during a run."""

import hashlib
import json
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from wsipipe.common.atomic_files import write_json
from wsipipe.common.file_lock import wait_for_lock
from wsipipe.pipeline.cluster.attempts import SHARD_TIMEOUT_S
from wsipipe.pipeline.parts import BatchEntry, Part
from wsipipe.pipeline.reporting.batch_summary import write_batch_summary
from wsipipe.pipeline.reporting.html_report import machine_facts, write_report
from wsipipe.pipeline.reporting.outcome import SlideOutcome
from wsipipe.pipeline.reporting.paced_writes import PacedWrites
from wsipipe.pipeline.reporting.part_records import has_record, part_files
from wsipipe.pipeline.reporting.part_records import read_record as read_record
from wsipipe.pipeline.reporting.run_json import RUN_JSON as RUN_JSON
from wsipipe.pipeline.reporting.run_json import RequestEntry, RunEntry, ShardFacts, SlideEntry
from wsipipe.pipeline.work_folders import WORK
from wsipipe.stages.workflow import Workflow, workflow_model
from wsipipe.tiling.collect import SlideInput

FINISHED = ("done", "kept")


@dataclass(frozen=True)
class RunRequest:
    """What the user requested of a run.

    Attributes:
        workflow: Workflow file with settings; values that the user left open stay open.
        region: Part to compute, (y, x, height, width) in level-0 px, or None.
        checksums: ``SHA256SUMS`` file that the slides must match, or None.
        shard_timeout_s: Time limit of a shard, s.
        restart: Whether finished results and shards were to be computed again.
    """

    workflow: Workflow
    region: tuple[int, int, int, int] | None = None
    checksums: Path | None = None
    shard_timeout_s: float = SHARD_TIMEOUT_S
    restart: bool = False

    def as_json(self) -> RequestEntry:
        """Return the entry for ``run.json``."""
        return {
            "chosen": self.workflow.chosen(),
            "region": self.region,
            "checksums": os.path.abspath(self.checksums) if self.checksums else None,
            "shard_timeout_s": self.shard_timeout_s,
            "restart": self.restart,
        }

    @classmethod
    def from_json(cls, entry: RequestEntry) -> "RunRequest":
        """Read an entry of ``run.json``, also of version 0.1.0."""
        region = cast("tuple[int, int, int, int]", tuple(entry["region"])) if entry["region"] else None
        if "chosen" not in entry:
            return cls(_without_defaults(entry["workflow"]), region)
        checksums = Path(entry["checksums"]) if entry["checksums"] else None
        workflow = workflow_model().model_validate(entry["chosen"])
        return cls(workflow, region, checksums, entry["shard_timeout_s"], entry["restart"])

    @property
    def id(self) -> str:
        """Short hash of the request."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()[:12]


def _without_defaults(content: dict[str, Any]) -> Workflow:
    """Read a workflow of version 0.1.0, which wrote defaults like chosen values."""
    filled = Workflow.model_validate(content)
    return Workflow.model_validate(filled.model_dump(mode="json", exclude_defaults=True))


class RunRecord:
    """Writer that keeps ``run.json``, or the record of a part, up to date.

    A whole run keeps the entries of all other slides, also those that are in records of parts, and removes
    these. A part writes its own slides only.

    Args:
        out: Folder of the results.
        request: Request of the run.
        slides: Slides of the run.
        batch: Batch of which the run is a part; None for a whole run.
    """

    def __init__(
        self, out: Path, request: RunRequest, slides: list[SlideInput], batch: BatchEntry | None = None
    ) -> None:
        self._out, self._request, self._batch = out, request, batch
        self._path = out / (f"{Part.parse(batch['part']).stem}.json" if batch else RUN_JSON)
        self._lock = threading.Lock()
        self._writes = PacedWrites(self._write, self._lock)
        earlier: dict[str, Any] = {}
        if has_record(out):
            earlier |= read_record(out)
        self._run: dict[str, Any] = {
            **({"batch": batch} if batch else {}),
            **machine_facts(),
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "ended": None,
            "processors": [],
            "peak_memory_mb": {},
            "asked": earlier.get("asked", {}) | {request.id: request.as_json()},
        }
        known = {slide["slide_id"]: slide for slide in earlier.get("slides", [])}
        self._slides = {} if batch else known
        self._inputs = {slide.slide_id: slide for slide in slides}
        self._earlier = {name: _by_plan(known.get(name, {})) for name in self._inputs}
        for slide in slides:
            self._put(SlideOutcome(slide.slide_id, slide.path, "waiting"))
        self._write()
        if batch is None:
            for path in part_files(out):
                path.unlink()

    def update(self, *outcomes: SlideOutcome) -> None:
        """Record the status of slides, written at the pace of ``PacedWrites``.

        Write errors are ignored here so that other slides continue; ``end`` writes the final file.
        """
        with self._lock:
            for outcome in outcomes:
                self._put(outcome)
            self._writes.changed()

    def processors(self, names: list[str]) -> None:
        """Record the processor types of the workers."""
        with self._lock:
            self._run["processors"] = sorted(set(names))
            self._writes.changed()

    def close(self) -> None:
        """Write what is not written yet, and nothing after that but the end."""
        self._writes.close()

    def end(self, peak_memory_mb: dict[str, float]) -> None:
        """Write the final record, ``report.html`` and ``summary.csv``.

        Raises:
            StorageError: Writing failed.
        """
        self.close()
        self._run["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._run["peak_memory_mb"] = peak_memory_mb
        run = self._write()
        if self._batch is None:
            self._write_reports(run)
            return
        # One part at a time, so that the report of the last one has the records of all.
        with wait_for_lock(self._out / WORK / "report.lock"):
            self._write_reports(read_record(self._out))

    def _write_reports(self, run: RunEntry) -> None:
        write_report(self._out, run)
        write_batch_summary(self._out, run)

    def _put(self, outcome: SlideOutcome) -> None:
        slide = self._inputs[outcome.slide_id]
        given = {
            "path": os.path.abspath(outcome.path),
            "asked": self._request.id,
            "sample_id": slide.sample_id,
            "given_mpp": slide.mpp,
            "mask_path": os.path.abspath(slide.mask_path) if slide.mask_path else None,
            "regions_path": os.path.abspath(slide.regions_path) if slide.regions_path else None,
            "extra": slide.extra,
        }
        entry = outcome.as_json() | given
        self._slides[outcome.slide_id] = entry | self._of_earlier_runs(entry)

    def _of_earlier_runs(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Return times and networks of the shards kept from earlier runs.

        They are needed until this or a later run finishes the slide.
        """
        earlier = self._earlier[entry["slide_id"]]
        if entry["status"] not in FINISHED:
            return {"earlier": earlier}
        same = {} if self._request.restart else earlier.get(entry["plan"].get("plan", ""), {})
        return {
            "seconds": entry["seconds"] or same.get("seconds", {}),
            "networks": _joined(same.get("networks", {}), entry["networks"]),
            "usage": entry["usage"] or same.get("usage", {}),
        }

    def _write(self) -> RunEntry:
        run = cast(RunEntry, self._run | {"slides": list(self._slides.values())})
        used = {slide["asked"] for slide in run["slides"] if "asked" in slide}
        run["asked"] = {key: value for key, value in run["asked"].items() if key in used}
        write_json(self._path, run)
        return run


def _by_plan(entry: dict[str, Any]) -> dict[str, ShardFacts]:
    """Return times, networks and usage of a slide's earlier runs, by plan."""
    found: dict[str, ShardFacts] = dict(entry.get("earlier", {}))
    plan = entry.get("plan", {}).get("plan")
    if not plan:
        return found
    before = found.get(plan, {})
    facts: ShardFacts = {
        "seconds": entry.get("seconds") or before.get("seconds", {}),
        "networks": _joined(before.get("networks", {}), entry.get("networks", {})),
        "usage": entry.get("usage") or before.get("usage", {}),
    }
    return found | {plan: facts}


def _joined(first: dict[str, list[str]], second: dict[str, list[str]]) -> dict[str, list[str]]:
    stages = [*first, *(stage for stage in second if stage not in first)]
    return {stage: sorted({*first.get(stage, []), *second.get(stage, [])}) for stage in stages}


def request_of(record: RunEntry, slide: SlideEntry) -> RunRequest:
    """Return the request for a slide of a record."""
    return RunRequest.from_json(record["asked"][slide["asked"]])


def input_of(slide: SlideEntry) -> SlideInput:
    """Return the slide as it was given to the run."""
    mask, regions = (
        Path(found) if found else None for found in (slide["mask_path"], slide.get("regions_path"))
    )
    path, extra = Path(slide["path"]), slide.get("extra", {})
    return SlideInput(slide["slide_id"], path, slide["given_mpp"], mask, slide["sample_id"], extra, regions)
