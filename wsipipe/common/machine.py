"""Name and cores of the processor, on each system."""

import functools
import os
import platform
import subprocess
from pathlib import Path


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def cpu_info() -> str:
    """Return the text of ``/proc/cpuinfo``; empty where there is none."""
    info = Path("/proc/cpuinfo")
    return info.read_text(encoding="utf-8", errors="replace") if info.is_file() else ""


@functools.cache
def processor_brand() -> str:
    """Return the name of the processor where ``/proc/cpuinfo`` is absent; empty if unknown."""
    match platform.system():
        case "Windows":
            return platform.processor()
        case "Darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
            except (OSError, subprocess.SubprocessError):
                return ""
            return done.stdout.strip()
    return ""
