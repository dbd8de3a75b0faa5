"""Attempts at a task, tracked by a marker file so that crashed workers are counted.

The scheduler gives the task of a process that died to another one. The marker file tells that process how
many died before it: it uses smaller patches, and after :data:`MOST_DEATHS` it gives up the task, and with it
one slide.
"""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from wsipipe.errors import OutOfMemoryError, StalledError, WorkerLostError
from wsipipe.pipeline.cluster.idle import task_running

SHARD_TIMEOUT_S = 900.0
"""Default time after which a task counts as hung."""
MOST_DEATHS = 4
MOST_STALLS = 2
SETTLE_S = 3.0
STALLED = "stalled"


def run_attempt[Result](
    marker: Path, function: Callable[..., Result], arguments: tuple[object, ...]
) -> Result:
    """Call ``function(*arguments, attempt)`` while a marker file exists.

    After an out-of-memory error, call it once more with the next attempt's number.

    Args:
        marker: File that exists while a process runs the task, with one line per process that started it. It
            must be on a file system that every worker sees.
        function: Function whose last argument is the number of earlier attempts.
        arguments: Arguments of the function, before that number.

    Raises:
        WorkerLostError: Too many processes died on this task.
        StalledError: Too many made no progress.
        OutOfMemoryError: Memory was short twice.
    """
    before = lines_of(marker)
    deaths = len([line for line in before if line != STALLED])
    _give_up(marker, deaths, before.count(STALLED))
    if before:
        # Dask's nanny does not restart a worker that dies before the nanny has registered that it runs.
        time.sleep(SETTLE_S)
    marker.parent.mkdir(parents=True, exist_ok=True)
    with marker.open("a", encoding="utf-8") as file:
        file.write(f"{socket.gethostname()} {os.getpid()} {process_start_time(os.getpid())}\n")
    try:
        with task_running():
            return _twice(function, arguments, deaths)
    finally:
        marker.unlink(missing_ok=True)


def process_start_time(pid: int) -> str | None:
    """Return when a process started; None without one.

    It identifies a process together with its pid, which the system reuses. On Linux it is in clock ticks
    since the machine started, because the clock may be set; elsewhere it is in seconds.
    """
    with suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[19]
    with suppress(psutil.Error):
        return str(psutil.Process(pid).create_time())
    return None


def lines_of(marker: Path) -> list[str]:
    """Return the lines of a marker file, empty without one.

    There is a line ``host pid start_time`` per process that started the task, and ``stalled`` after each one
    that was stopped.
    """
    try:
        return marker.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _give_up(marker: Path, deaths: int, stalls: int) -> None:
    if stalls >= MOST_STALLS:
        raise StalledError(
            f"{marker.name}: {stalls} processes made no progress on this shard and were stopped. The slide "
            f"may hang its decoder, or the file system may hang: check both, or raise --shard-timeout."
        )
    if deaths >= MOST_DEATHS:
        raise WorkerLostError(
            f"{marker.name}: {deaths} processes died on this shard, the later ones with smaller patches. The "
            f"file may crash its decoder, or memory is short: leave the slide out, or give --memory-budget."
        )


def _twice[Result](function: Callable[..., Result], arguments: tuple[object, ...], deaths: int) -> Result:
    try:
        return function(*arguments, deaths)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    try:
        return function(*arguments, deaths + 1)
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError(
                f"out of memory, and again with half the patch size ({error}). Give --memory-budget, fewer "
                f"--workers, or a smaller segment.patch_px."
            ) from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory was short, in Python, numpy, torch or CUDA.

    Errors of torch are recognised by name, so torch is not loaded.
    """
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
