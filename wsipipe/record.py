"""``run.json``: what was asked of OUT and what became of each slide, true at every moment of a run."""

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsipipe.config import Workflow
from wsipipe.durable import write_json
from wsipipe.errors import NoResultError, StorageError
from wsipipe.outcome import SlideOutcome
from wsipipe.report import facts_of_machine, write_page
from wsipipe.tiling.collect import SlideInput

RUN_JSON = "run.json"


@dataclass(frozen=True)
class Asked:
    """What a run was asked to do with its slides.

    Attributes:
        workflow: As resolved from file and settings.
        region: (y, x, height, width) in level-0 px, or None.
    """

    workflow: Workflow
    region: tuple[int, int, int, int] | None = None

    def as_json(self) -> dict[str, Any]:
        """For ``run.json``."""
        return {"workflow": self.workflow.model_dump(mode="json"), "region": self.region}

    @property
    def id(self) -> str:
        """Short hash."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()[:12]


class Record:
    """Keeps ``run.json`` of OUT up to date; entries of slides that this run is not about stay.

    Args:
        out: Folder of the results.
        asked: What is done.
        slides: To which slides.
    """

    def __init__(self, out: Path, asked: Asked, slides: list[SlideInput]) -> None:
        self._out, self._asked = out, asked
        self._lock = threading.Lock()
        earlier = read_record(out) if (out / RUN_JSON).is_file() else {}
        self._run: dict[str, Any] = {
            **facts_of_machine(),
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "ended": None,
            "peak_memory_mb": {},
            "asked": earlier.get("asked", {}) | {asked.id: asked.as_json()},
        }
        self._slides = {slide["slide_id"]: slide for slide in earlier.get("slides", [])}
        self._inputs = {slide.slide_id: slide for slide in slides}
        for slide in slides:
            self._put(SlideOutcome(slide.slide_id, slide.path, "waiting"))
        self._write()

    def update(self, outcome: SlideOutcome) -> None:
        """One slide's news; a full disk must not stop the others, and the last word is written by ``end``."""
        with self._lock, suppress(StorageError):
            self._put(outcome)
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
            "asked": self._asked.id,
            "sample_id": slide.sample_id,
            "given_mpp": slide.mpp,
            "mask_path": str(slide.mask_path) if slide.mask_path else None,
        }
        self._slides[outcome.slide_id] = outcome.as_json() | given

    def _write(self) -> dict[str, Any]:
        run = self._run | {"slides": list(self._slides.values())}
        used = {slide["asked"] for slide in run["slides"] if "asked" in slide}
        run["asked"] = {key: value for key, value in run["asked"].items() if key in used}
        write_json(self._out / RUN_JSON, run)
        return run


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


def asked_of(record: dict[str, Any], slide: dict[str, Any]) -> Asked:
    """What was asked of a slide of a record."""
    found = record["asked"][slide["asked"]]
    region = tuple(found["region"]) if found["region"] else None
    return Asked(Workflow.model_validate(found["workflow"]), region)


def input_of(slide: dict[str, Any]) -> SlideInput:
    """The slide as it was given to the run."""
    mask = slide["mask_path"]
    path = Path(slide["path"])
    return SlideInput(
        slide["slide_id"], path, slide["given_mpp"], Path(mask) if mask else None, slide["sample_id"]
    )
