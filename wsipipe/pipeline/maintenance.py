"""Status, verification and cleaning of a results folder."""

import shutil
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from wsipipe.common.folder_size import bytes_under
from wsipipe.errors import NoResultError, StorageError
from wsipipe.pipeline.reporting.part_records import (
    has_record,
    last_entries,
    notes,
    read_record,
    read_records,
)
from wsipipe.pipeline.reporting.run_json import SlideEntry, SlideState
from wsipipe.pipeline.run_lock import active_parts, lock_run, whole_run
from wsipipe.pipeline.work_folders import WORK
from wsipipe.store import manifest
from wsipipe.store.ledger import LEDGER


@dataclass(frozen=True)
class Leftover:
    """A file or folder in OUT that no finished slide needs.

    Attributes:
        path: Path of the file or folder.
        what: Short description.
        size_bytes: Total size of its files.
    """

    path: Path
    what: str
    size_bytes: int


class SlideStatus(SlideState):
    """Status of one slide, as ``wsipipe status`` prints it."""

    warnings: list[dict[str, str]]
    shards_done: int


class RunStatus(TypedDict):
    """Status of a results folder, as ``wsipipe status`` prints it."""

    out: str
    working: str | None
    notes: list[str]
    slides: list[SlideStatus]


def status(out: Path) -> RunStatus:
    """Return the status of OUT: the active run or parts, and the slides.

    Raises:
        NoResultError: OUT is not the folder of a run.
    """
    whole, parts = whole_run(out), {str(part): holder for part, holder in active_parts(out).items()}
    # After the locks, so that a run that ends just now has written its last record.
    records = read_records(out)
    done = _shards_done(out)
    part_of = {
        slide["slide_id"]: record.get("batch", {}).get("part")
        for record in records
        for slide in record["slides"]
    }
    slides = [
        _slide_status(out, slide, whole is not None or part_of[name] in parts, done.get(name, 0))
        for name, slide in last_entries(records).items()
    ]
    texts = [whole] if whole else [f"part {part}: {holder}" for part, holder in parts.items()]
    return {"out": str(out), "working": "; ".join(texts) or None, "notes": notes(records), "slides": slides}


def _slide_status(out: Path, slide: SlideEntry, working: bool, shards_done: int) -> SlideStatus:
    state = slide["status"]
    if state in {"running", "waiting"} and not working:
        state = "interrupted"
    if state in {"done", "kept"} and not (out / slide["slide_id"] / manifest.MANIFEST).is_file():
        state = "missing"
    return {
        "slide_id": slide["slide_id"],
        "path": slide["path"],
        "status": state,
        "code": slide.get("code", ""),
        "message": slide.get("message", ""),
        "place": slide.get("place", {}),
        "warnings": slide.get("warnings", []),
        "shards_done": shards_done,
    }


def _shards_done(out: Path) -> Counter[str]:
    """Count the finished shards of unfinished slides, by id."""
    found: Counter[str] = Counter()
    for work in _works(out):
        found[work.name.rpartition(".")[0]] += _rows(work)
    return found


def _works(out: Path) -> list[Path]:
    return sorted(path for path in (out / WORK).glob("*.*") if path.is_dir())


def _rows(work: Path) -> int:
    """Count the finished shards of a work directory, also while a run writes to it."""
    if not (work / LEDGER).is_file():
        return 0
    try:
        # Quoted: a name may contain ``?``, ``#`` or ``%``, which have a meaning in a URI.
        uri = f"{(work / LEDGER).absolute().as_uri()}?mode=ro"
        rows = sqlite3.connect(uri, uri=True, timeout=5)
        try:
            return int(rows.execute("SELECT count(*) FROM shards").fetchone()[0])
        finally:
            rows.close()
    except sqlite3.Error:
        return 0


def finished_slides(out: Path) -> list[Path]:
    """List the folders of finished slides in OUT.

    OUT may itself be the folder of a finished slide.

    Raises:
        NoResultError: There is no finished slide.
    """
    if (out / manifest.MANIFEST).is_file():
        return [out]
    recorded = read_record(out)["slides"] if has_record(out) else []
    names = {slide["slide_id"] for slide in recorded if slide["status"] in {"done", "kept"}}
    names |= {path.parents[1].name for path in out.glob(f"*/{manifest.MANIFEST}")}
    if not names:
        raise NoResultError(f"{out} has no finished slide. Name the folder given to --out, or one in it.")
    return [out / name for name in sorted(names)]


def verify(folder: Path) -> list[str]:
    """List the damaged or missing files of a finished slide.

    There is one line per file; for a file of an array it names the shard.
    """
    if not (folder / manifest.MANIFEST).is_file():
        return [f"{manifest.MANIFEST}: missing"]
    try:
        return [_in_words(path) for path in manifest.damaged(folder)]
    except StorageError as error:
        return [f"{manifest.MANIFEST}: {error}"]


def _in_words(path: str) -> str:
    array, separator, index = path.partition("/c/")
    if not separator:
        return path
    row, column = index.split("/")[-2:]
    return f"{path}: shard row {row}, column {column} of {array.removeprefix('slide.zarr/')}"


def leftovers(out: Path) -> list[Leftover]:
    """List unfinished work and replaced results; never published ones.

    Raises:
        NoResultError: OUT is not the folder of a run.
    """
    if not (out / WORK).is_dir() and not (out / ".replaced").is_dir():
        read_record(out)
    found = [
        Leftover(work, f"unfinished work, {_rows(work)} shards done; running again resumes it", 0)
        for work in _works(out)
    ]
    for replaced in sorted((out / ".replaced").glob("*")):
        reviews = " WITH HUMAN CORRECTIONS" if (replaced / "reviews").is_dir() else ""
        found.append(Leftover(replaced, f"an earlier result that was replaced{reviews}", 0))
    return [Leftover(each.path, each.what, bytes_under(each.path)) for each in found]


def clean(out: Path, found: list[Leftover]) -> None:
    """Delete what :func:`leftovers` found.

    Raises:
        LockedError: A run works on OUT.
        StorageError: Something could not be deleted; names it. Everything else is deleted.
    """
    if not found:
        return
    errors: list[BaseException] = []
    with lock_run(out, None):
        for each in found:
            shutil.rmtree(each.path, onexc=lambda _function, _path, error: errors.append(error))
    if errors:
        # ``shutil.rmtree`` passes nothing but errors of the file system.
        first = cast(OSError, errors[0])
        raise StorageError(
            f"{first.filename} could not be deleted ({first.strerror}). Correct its permissions and run the "
            f"same command again."
        )
