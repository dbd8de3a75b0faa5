"""``run.json``: what was asked of OUT and what became of each slide, true at every moment of a run."""

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsipipe.common.atomic_files import write_json
from wsipipe.errors import NoResultError, StorageError
from wsipipe.pipeline.cluster.attempts import SHARD_TIMEOUT_S
from wsipipe.pipeline.reporting.html_report import facts_of_machine, write_page
from wsipipe.pipeline.reporting.outcome import SlideOutcome
from wsipipe.stages.workflow import Workflow
from wsipipe.tiling.collect import SlideInput

RUN_JSON = "run.json"
FINISHED = ("done", "kept")


@dataclass(frozen=True)
class RunRequest:
    """What a run was asked to do with its slides.

    Attributes:
        workflow: File and settings; values that the user left open are left open.
        region: (y, x, height, width) in level-0 px, or None.
        checksums: ``SHA256SUMS`` that the slides must fit, or None.
        shard_timeout_s: Time limit of a shard, s.
        restart: Whether finished results and shards were to be computed again.
    """

    workflow: Workflow
    region: tuple[int, int, int, int] | None = None
    checksums: Path | None = None
    shard_timeout_s: float = SHARD_TIMEOUT_S
    restart: bool = False

    def as_json(self) -> dict[str, Any]:
        """For ``run.json``."""
        return {
            "chosen": self.workflow.chosen(),
            "region": self.region,
            "checksums": os.path.abspath(self.checksums) if self.checksums else None,
            "shard_timeout_s": self.shard_timeout_s,
            "restart": self.restart,
        }

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "RunRequest":
        """From ``run.json``; also as version 0.1.0 wrote it."""
        region = tuple(entry["region"]) if entry["region"] else None
        if "chosen" not in entry:
            return cls(_without_defaults(entry["workflow"]), region)
        checksums = Path(entry["checksums"]) if entry["checksums"] else None
        workflow = Workflow.model_validate(entry["chosen"])
        return cls(workflow, region, checksums, entry["shard_timeout_s"], entry["restart"])

    @property
    def id(self) -> str:
        """Short hash."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()[:12]


def _without_defaults(content: dict[str, Any]) -> Workflow:
    """A workflow of version 0.1.0, which wrote defaults as if the user had chosen them."""
    filled = Workflow.model_validate(content)
    return Workflow.model_validate(filled.model_dump(mode="json", exclude_defaults=True))


class RunRecord:
    """Keeps ``run.json`` of OUT up to date; entries of slides that this run is not about stay.

    Args:
        out: Folder of the results.
        asked: What is done.
        slides: To which slides.
    """

    def __init__(self, out: Path, asked: RunRequest, slides: list[SlideInput]) -> None:
        self._out, self._asked = out, asked
        self._lock = threading.Lock()
        earlier = read_record(out) if (out / RUN_JSON).is_file() else {}
        self._run: dict[str, Any] = {
            **facts_of_machine(),
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "ended": None,
            "processors": [],
            "peak_memory_mb": {},
            "asked": earlier.get("asked", {}) | {asked.id: asked.as_json()},
        }
        self._slides = {slide["slide_id"]: slide for slide in earlier.get("slides", [])}
        self._inputs = {slide.slide_id: slide for slide in slides}
        self._earlier = {name: _by_plan(self._slides.get(name, {})) for name in self._inputs}
        for slide in slides:
            self._put(SlideOutcome(slide.slide_id, slide.path, "waiting"))
        self._write()

    def update(self, outcome: SlideOutcome) -> None:
        """Record a slide's status; errors of writing wait for ``end``, so that other slides go on."""
        with self._lock, suppress(StorageError):
            self._put(outcome)
            self._write()

    def processors(self, names: list[str]) -> None:
        """Record the kinds of processor that the run's workers have."""
        with self._lock, suppress(StorageError):
            self._run["processors"] = sorted(set(names))
            self._write()

    def end(self, peak_memory_mb: dict[str, float]) -> None:
        """Writes ``run.json`` and ``report.html`` for good.

        Raises:
            StorageError: The file system refused.
        """
        self._run["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._run["peak_memory_mb"] = peak_memory_mb
        write_page(self._out, self._write())

    def _put(self, outcome: SlideOutcome) -> None:
        slide = self._inputs[outcome.slide_id]
        given = {
            "path": os.path.abspath(outcome.path),
            "asked": self._asked.id,
            "sample_id": slide.sample_id,
            "given_mpp": slide.mpp,
            "mask_path": os.path.abspath(slide.mask_path) if slide.mask_path else None,
            "extra": slide.extra,
        }
        entry = outcome.as_json() | given
        self._slides[outcome.slide_id] = entry | self._of_earlier_runs(entry)

    def _of_earlier_runs(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Times and networks of the shards that were kept, until this or a later run finishes the slide."""
        earlier = self._earlier[entry["slide_id"]]
        if entry["status"] not in FINISHED:
            return {"earlier": earlier}
        same = {} if self._asked.restart else earlier.get(entry["plan"].get("plan", ""), {})
        return {
            "seconds": entry["seconds"] or same.get("seconds", {}),
            "networks": _joined(same.get("networks", {}), entry["networks"]),
        }

    def _write(self) -> dict[str, Any]:
        run = self._run | {"slides": list(self._slides.values())}
        used = {slide["asked"] for slide in run["slides"] if "asked" in slide}
        run["asked"] = {key: value for key, value in run["asked"].items() if key in used}
        write_json(self._out / RUN_JSON, run)
        return run


def _by_plan(entry: dict[str, Any]) -> dict[str, Any]:
    """Plan -> ``seconds`` and ``networks`` of earlier runs of a slide, from its entry in ``run.json``."""
    found: dict[str, Any] = dict(entry.get("earlier", {}))
    plan = entry.get("plan", {}).get("plan")
    if not plan:
        return found
    before = found.get(plan, {})
    facts = {
        "seconds": entry.get("seconds") or before.get("seconds", {}),
        "networks": _joined(before.get("networks", {}), entry.get("networks", {})),
    }
    return found | {plan: facts}


def _joined(first: dict[str, list[str]], second: dict[str, list[str]]) -> dict[str, list[str]]:
    stages = [*first, *(stage for stage in second if stage not in first)]
    return {stage: sorted({*first.get(stage, []), *second.get(stage, [])}) for stage in stages}


def read_record(out: Path) -> dict[str, Any]:
    """``run.json`` of OUT.

    Raises:
        NoResultError: There is none.
        StorageError: It is no JSON.
    """
    path = out / RUN_JSON
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoResultError(f"{out} has no {RUN_JSON}; name the folder given to --out of a run.") from error
    except ValueError as error:
        raise StorageError(
            f"{path} is damaged ({error}); delete it and run the same command again; finished slides "
            f"are kept."
        ) from error


def request_of(record: dict[str, Any], slide: dict[str, Any]) -> RunRequest:
    """What was asked of a slide of a record."""
    return RunRequest.from_json(record["asked"][slide["asked"]])


def input_of(slide: dict[str, Any]) -> SlideInput:
    """The slide as it was given to the run."""
    mask = Path(slide["mask_path"]) if slide["mask_path"] else None
    path, extra = Path(slide["path"]), slide.get("extra", {})
    return SlideInput(slide["slide_id"], path, slide["given_mpp"], mask, slide["sample_id"], extra)
