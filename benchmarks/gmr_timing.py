"""Timing that stands a busy machine: functions take turns, and the median of each is kept."""

import ctypes
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
Timed = dict[str, Callable[[], object]]


def interleaved(functions: Timed, rounds: int) -> dict[str, float]:
    """Median milliseconds of each function, called in turn ``rounds`` times after one warm-up.

    With one thread it is the thread's own processor time, which other processes do not lengthen; with
    more, or on a GPU, it is the wall's, waiting for the GPU.
    """
    gpu = torch.cuda.is_available()
    clock = time.perf_counter if gpu or torch.get_num_threads() > 1 else time.thread_time
    for function in functions.values():
        function()
    if gpu:
        torch.cuda.synchronize()
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = clock()
            function()
            if gpu:
                torch.cuda.synchronize()
            taken[name].append(1e3 * (clock() - start))
    return {name: statistics.median(times) for name, times in taken.items()}


def keep_freed_memory() -> None:
    """Have glibc keep what is freed; else each large tensor costs page faults anew."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    sets = ("avx2", "avx512f", "avx512_bf16", "amx_tile")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "instructions": [name for name in sets if name in flags],
        "system": platform.platform(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": [round(load, 1) for load in os.getloadavg()],
    }
