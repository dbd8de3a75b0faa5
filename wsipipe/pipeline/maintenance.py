"""What is in OUT: how far each slide is, which files are damaged, and what may be cleaned away."""

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsipipe.common.file_lock import hold_lock, holder_of
from wsipipe.errors import NoResultError, StorageError
from wsipipe.pipeline.planning.disk_space import bytes_under
from wsipipe.pipeline.reporting.run_record import RUN_JSON, read_record
from wsipipe.pipeline.slide_run import WORK
from wsipipe.store import manifest
from wsipipe.store.ledger import LEDGER


@dataclass(frozen=True)
class Leftover:
    """Something in OUT that no finished slide needs.

    Attributes:
        path: File or folder.
        what: In words.
        size_bytes: Of all files in it.
    """

    path: Path
    what: str
    size_bytes: int


def status(out: Path) -> dict[str, Any]:
    """What ``wsipipe status`` tells: who works on OUT, and of each slide status, code and shards done.

    Raises:
        NoResultError: OUT was never the folder of a run.
    """
    record = read_record(out)
    working = holder_of(out / WORK / "run.lock")
    slides = [_slide_status(out, slide, working is not None) for slide in record["slides"]]
    return {"out": str(out), "working": working, "slides": slides}


def _slide_status(out: Path, slide: dict[str, Any], working: bool) -> dict[str, Any]:
    found = {key: slide.get(key, "") for key in ("slide_id", "path", "status", "code", "message", "place")}
    if found["status"] in {"running", "waiting"} and not working:
        found["status"] = "interrupted"
    if found["status"] in {"done", "kept"} and not (out / slide["slide_id"] / manifest.MANIFEST).is_file():
        found["status"] = "missing"
    works = [work for work in _works(out) if work.name.rpartition(".")[0] == slide["slide_id"]]
    return found | {"warnings": slide.get("warnings", []), "shards_done": sum(_rows(work) for work in works)}


def _works(out: Path) -> list[Path]:
    return sorted(path for path in (out / WORK).glob("*.*") if path.is_dir())


def _rows(work: Path) -> int:
    """Shards done in a work directory, read beside a run that may be writing to it."""
    if not (work / LEDGER).is_file():
        return 0
    try:
        # Quoted: a name may hold ``?``, ``#`` or ``%``, which mean something in an address.
        address = f"{(work / LEDGER).absolute().as_uri()}?mode=ro"
        rows = sqlite3.connect(address, uri=True, timeout=5)
        try:
            return int(rows.execute("SELECT count(*) FROM shards").fetchone()[0])
        finally:
            rows.close()
    except sqlite3.Error:
        return 0


def finished_slides(out: Path) -> list[Path]:
    """Folders of finished slides: those in OUT, or OUT itself where it is one.

    Raises:
        NoResultError: There is none.
    """
    if (out / manifest.MANIFEST).is_file():
        return [out]
    recorded = read_record(out)["slides"] if (out / RUN_JSON).is_file() else []
    names = {slide["slide_id"] for slide in recorded if slide["status"] in {"done", "kept"}}
    names |= {path.parents[1].name for path in out.glob(f"*/{manifest.MANIFEST}")}
    if not names:
        raise NoResultError(f"{out} holds no finished slide; name the folder given to --out, or one in it.")
    return [out / name for name in sorted(names)]


def verify(folder: Path) -> list[str]:
    """What is wrong with a finished slide, one line a file; names the shard of an array."""
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
    """Unfinished work and replaced results; nothing that is published.

    Raises:
        NoResultError: OUT was never the folder of a run.
    """
    if not (out / WORK).is_dir() and not (out / ".replaced").is_dir():
        read_record(out)
    found = [
        Leftover(work, f"unfinished work, {_rows(work)} shards done; running again goes on from it", 0)
        for work in _works(out)
    ]
    for aside in sorted((out / ".replaced").glob("*")):
        reviews = " WITH HUMAN CORRECTIONS" if (aside / "reviews").is_dir() else ""
        found.append(Leftover(aside, f"an earlier result that was replaced{reviews}", 0))
    return [Leftover(each.path, each.what, bytes_under(each.path)) for each in found]


def clean(out: Path, found: list[Leftover]) -> None:
    """Deletes what :func:`leftovers` found.

    Raises:
        LockedError: A run works on OUT.
        StorageError: Something could not be deleted; names it. All else is.
    """
    if not found:
        return
    left: list[Any] = []
    with hold_lock(out / WORK / "run.lock", str(out)):
        for each in found:
            shutil.rmtree(each.path, onexc=lambda _function, _path, error: left.append(error))
    if left:
        raise StorageError(
            f"{left[0].filename} could not be deleted ({left[0].strerror}). Mend its permissions and run "
            f"the same command again."
        )
