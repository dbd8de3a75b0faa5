"""Entries of ``run.json``, and how they are read.

At run time they are plain dictionaries, and entries written by other versions may lack keys.
"""

import json
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from wsipipe.errors import NoResultError, Place, StorageError
from wsipipe.pipeline.parts import BatchEntry

RUN_JSON = "run.json"


class PlanEntry(TypedDict, total=False):
    """Summary of a slide's plan; empty for a slide that did not open."""

    slide_id: str
    path: str
    plan: str
    vendor: str
    mpp: float
    mpp_source: str
    canvas_mpp: float
    canvas_shape: list[int]
    parameters: dict[str, Any]
    stages: list[str]
    classes_of: str
    shards: dict[str, int]
    choice: dict[str, str]


class UsageEntry(TypedDict):
    """What the shards of a stage took in the workers."""

    waiting_s: float
    busy_s: float
    cpu_s: float
    reading_s: float
    loading_s: float
    writing_s: float
    written_bytes: int
    peak_memory_mb: float
    canvas_mpx: float
    mpx_per_busy_s: float
    gpu_busy: float | None


class ShardFacts(TypedDict, total=False):
    """What earlier runs of the same plan spent and used."""

    seconds: dict[str, float]
    networks: dict[str, list[str]]
    usage: dict[str, UsageEntry]


class SlideState(TypedDict):
    """Status of one slide and the cause of a failure."""

    slide_id: str
    path: str
    status: str
    code: str
    message: str
    place: Place


class SlideEntry(SlideState):
    """Entry of one slide in ``run.json``."""

    log: list[str]
    plan: PlanEntry
    seconds: dict[str, float]
    nuclei: int | None
    warnings: NotRequired[list[dict[str, str]]]
    networks: NotRequired[dict[str, list[str]]]
    usage: NotRequired[dict[str, UsageEntry]]
    nuclei_summary: NotRequired[dict[str, Any]]
    quality: NotRequired[dict[str, float]]
    certificate: NotRequired[dict[str, Any]]
    asked: NotRequired[str]
    sample_id: NotRequired[str]
    given_mpp: NotRequired[float | None]
    mask_path: NotRequired[str | None]
    regions_path: NotRequired[str | None]
    extra: NotRequired[dict[str, str]]
    earlier: NotRequired[dict[str, ShardFacts]]


class RequestEntry(TypedDict):
    """Request of a run."""

    chosen: NotRequired[dict[str, Any]]
    workflow: NotRequired[dict[str, Any]]
    region: list[int] | tuple[int, int, int, int] | None
    checksums: NotRequired[str | None]
    shard_timeout_s: NotRequired[float]
    restart: NotRequired[bool]


class MachineEntry(TypedDict):
    """Notice, machine and versions."""

    notice: str
    machine: str
    versions: dict[str, str]


class RunEntry(MachineEntry):
    """All of ``run.json``, or of the record of a part."""

    began: str
    ended: str | None
    processors: NotRequired[list[str]]
    peak_memory_mb: dict[str, float]
    asked: dict[str, RequestEntry]
    slides: list[SlideEntry]
    batch: NotRequired[BatchEntry]
    notes: NotRequired[list[str]]


def read_file(path: Path) -> RunEntry:
    """Read ``run.json`` or the record of a part.

    Raises:
        NoResultError: The file does not exist.
        StorageError: The file is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoResultError(
            f"{path.parent} has no {path.name}. Name the folder that was given to --out."
        ) from error
    except ValueError as error:
        raise StorageError(
            f"{path} is damaged ({error}). Delete it and run the same command again; finished slides "
            f"are kept."
        ) from error
