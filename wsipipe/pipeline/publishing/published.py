"""Recognise published slides without reading their arrays."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsipipe.errors import StorageError
from wsipipe.pipeline.reporting.outcome import SlideWarning
from wsipipe.pipeline.work_folders import RESTARTED, work_folder
from wsipipe.store import manifest
from wsipipe.store.names import CHECKS

if TYPE_CHECKING:
    from wsipipe.pipeline.planning.plan import Plan


def is_published(out: Path, plan: "Plan") -> bool:
    """Return whether ``out`` has the result of this plan."""
    return plan_of(out / plan.slide.slide_id) == plan.id


def is_finished(out: Path, plan: "Plan") -> bool:
    """Return whether a slide is published, and no restart of it was interrupted.

    The caller holds the lock of the slide. Work that a run left when it was killed during its cleanup is
    deleted.
    """
    work = work_folder(out, plan)
    if not is_published(out, plan) or (work / RESTARTED).exists():
        return False
    shutil.rmtree(work, ignore_errors=True)
    return True


def plan_of(folder: Path) -> str:
    """Return a result's plan.

    It is ``unknown`` if the manifest is missing or damaged.
    """
    try:
        return str(manifest.read(folder)["plan"])
    except StorageError:
        return "unknown"


def read_warnings(folder: Path) -> tuple[SlideWarning, ...]:
    """Read the warnings of a published slide.

    Results of versions without checks have none.
    """
    return tuple(SlideWarning(**warning) for warning in _read_checks(folder).get("warnings", ()))


def read_quality(folder: Path) -> dict[str, float]:
    """Read the quality of a published slide; empty where it was not measured."""
    return dict(_read_checks(folder).get("quality", {}))


def read_nuclei_summary(folder: Path) -> dict[str, Any]:
    """Read the counts of nuclei by type and positivity of a published slide; empty without them."""
    return dict(_read_checks(folder).get("nuclei", {}))


def _read_checks(folder: Path) -> dict[str, Any]:
    path = folder / CHECKS
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found
