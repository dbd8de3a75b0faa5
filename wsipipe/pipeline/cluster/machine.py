"""Processors and GPUs of this machine, without Dask."""

import os
import shutil
import subprocess
from pathlib import Path

from wsipipe.common.disk_sync import WINDOWS
from wsipipe.common.machine import usable_cores


def worker_count(workers: int | None) -> int:
    """Return ``workers``, by default one process per core that this process may use."""
    return workers or usable_cores()


def threads_each(workers: int | None, threads: int | None) -> int:
    """Return ``threads``, by default a fair share of the cores for each process."""
    return threads or max(1, worker_count(None) // worker_count(workers))


def gpu_names() -> list[str]:
    """List the NVIDIA GPUs that this process may use.

    The names are those of ``CUDA_VISIBLE_DEVICES``; torch is not loaded.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    return [str(i) for i in range(_gpu_count())]


def _gpu_count() -> int:
    if not WINDOWS:
        return len(list(Path("/dev").glob("nvidia[0-9]*")))
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    done = subprocess.run([command, "-L"], capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())
