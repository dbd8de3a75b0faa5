"""Locks of a results folder: one whole run, or several parts of one batch."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsipipe.common.file_lock import hold_lock, holder_of
from wsipipe.errors import LockedError
from wsipipe.pipeline.parts import Part
from wsipipe.pipeline.work_folders import WORK

RUN_LOCK = "run.lock"


@contextmanager
def lock_run(out: Path, part: Part | None) -> Iterator[Path]:
    """Lock OUT for a run and yield its folder for marker files.

    Args:
        out: Folder of the results.
        part: Part of a batch, which shares OUT with the other parts; None for a whole run.

    Raises:
        LockedError: A whole run, the same part, or a part of a batch with another number of parts is active.
    """
    if part is None:
        with hold_lock(out / WORK / RUN_LOCK, str(out)):
            yield from _markers(out / WORK / "started")
        return
    with (
        hold_lock(out / WORK / RUN_LOCK, str(out), shared=True),
        hold_lock(out / WORK / f"{part.stem}.lock", f"part {part} in {out}"),
    ):
        # After its own lock is held: of two that start at the same moment, at least one sees the other.
        _refuse_other_counts(out, part)
        # Without a dot, which marks the folder of an unfinished slide.
        yield from _markers(out / WORK / f"started-{part.number}-of-{part.count}")


def _markers(folder: Path) -> Iterator[Path]:
    yield folder
    with suppress(OSError):
        folder.rmdir()


def whole_run(out: Path) -> str | None:
    """Return process, host and start of the whole run that works on OUT; None without one."""
    return holder_of(out / WORK / RUN_LOCK)


def active_parts(out: Path) -> dict[Part, str]:
    """Return process, host and start of each part that works on OUT."""
    parts = {Part.of_stem(path.stem): path for path in (out / WORK).glob("run.*.lock")}
    held = {part: holder_of(path) for part, path in parts.items() if part}
    return {part: held[part] or "" for part in sorted(held, key=_order) if held[part]}


def _order(part: Part) -> tuple[int, int]:
    return part.count, part.number


def _refuse_other_counts(out: Path, part: Part) -> None:
    # Only locks of other batches are looked at, so that parts that start together do not disturb each other.
    for path in (out / WORK).glob("run.*.lock"):
        other = Part.of_stem(path.stem)
        if other is None or other.count == part.count:
            continue
        if holder := holder_of(path):
            raise LockedError(
                f"{out} is in use by part {other} ({holder}), so part {part} would share its slides "
                f"differently. Wait for it to end, or give every process the same number of parts."
            )
