"""What a worker process does around every task: leaves a marker while at it, so that a death is counted.

A task whose process dies is given to another by the scheduler. The marker tells that one how many died before
it: it takes smaller patches, and after :data:`MOST_DEATHS` it gives the task up, and with it one slide.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wsipipe.errors import OutOfMemoryError, StalledError, WorkerLostError

SHARD_TIMEOUT_S = 900.0
"""A task that takes longer is taken for hung."""
MOST_DEATHS = 4
MOST_STALLS = 2
SETTLE_S = 3.0
STALLED = "stalled"


def run_attempt(marker: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """``function(*arguments, attempt)``; out of memory, it is tried once more with the next attempt's number.

    Args:
        marker: File that exists while a process is at the task, one line for each that was; on a file system
            that every worker sees.
        function: Takes the number of earlier attempts last.
        arguments: Of the function, before that number.

    Raises:
        WorkerLostError: Too many processes died on this task.
        StalledError: Too many made no progress.
        OutOfMemoryError: Memory was short twice.
    """
    before = lines_of(marker)
    deaths = len([line for line in before if line != STALLED])
    _give_up(marker, deaths, before.count(STALLED))
    if before:
        # A nanny leaves a worker dead that dies before the nanny has heard that it runs.
        time.sleep(SETTLE_S)
    marker.parent.mkdir(parents=True, exist_ok=True)
    with marker.open("a") as file:
        file.write(f"{socket.gethostname()} {os.getpid()} {process_start_time(os.getpid())}\n")
    try:
        return _twice(function, arguments, deaths)
    finally:
        marker.unlink(missing_ok=True)


def process_start_time(pid: int) -> str | None:
    """When a process began, in ticks since the machine did; None if there is none. Pids alone are reused."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def lines_of(marker: Path) -> list[str]:
    """``host pid birth`` of each process that began the task, and ``stalled`` after each that was stopped."""
    try:
        return marker.read_text().splitlines()
    except FileNotFoundError:
        return []


def _give_up(marker: Path, deaths: int, stalls: int) -> None:
    if stalls >= MOST_STALLS:
        raise StalledError(
            f"{marker.name}: {stalls} processes made no progress on this shard and were stopped. The slide "
            f"may hang its decoder, or the file system may hang; check both, or raise --shard-timeout."
        )
    if deaths >= MOST_DEATHS:
        raise WorkerLostError(
            f"{marker.name}: {deaths} processes died on this shard, the later ones with smaller patches. The "
            f"file may crash its decoder, or memory is short: leave the slide out, or give --memory-budget."
        )


def _twice(function: Callable[..., Any], arguments: tuple[Any, ...], deaths: int) -> Any:
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
                f"memory was short, and again with half the patch ({error}). Give --memory-budget, fewer "
                f"--workers, or a smaller segment.patch_px."
            ) from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was short, in Python, numpy, torch or CUDA; torch is not loaded to tell."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
