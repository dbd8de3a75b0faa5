"""Folders and locks of unfinished work, ``OUT/.work``."""

import glob
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from wsipipe.common.file_lock import hold_lock

if TYPE_CHECKING:
    from wsipipe.pipeline.planning.plan import Plan

WORK = ".work"
RESTARTED = "restarted"
"""Name of a marker file: the slide is computed again although a result of its plan is published."""

PAGE_CONTENT = "page.json"
"""Name of a file in a work directory: what the page of the slide shows."""


def work_folder(out: Path, plan: "Plan") -> Path:
    """Return the work directory of a plan."""
    return out / WORK / f"{plan.slide.slide_id}.{plan.id[:16]}"


def slurm_folder(out: Path) -> Path:
    """Return the folder for logs and certificates of SLURM jobs."""
    return out / WORK / "slurm"


def restart_began(out: Path, slide_id: str) -> bool:
    """Return whether a restart was interrupted, so that its shards may be kept."""
    return any((out / WORK).glob(f"{glob.escape(slide_id)}.*/{RESTARTED}"))


def slide_lock(out: Path, slide_id: str) -> AbstractContextManager[None]:
    """Lock the slide in ``out`` for this process.

    Raises:
        LockedError: Another process has locked it; names that process.
    """
    return hold_lock(out / WORK / f"{slide_id}.lock", f"{slide_id} in {out}")
