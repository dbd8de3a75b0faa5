"""Describe the machine that a benchmark ran on."""

import os
import platform
from pathlib import Path

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd")


def describe() -> str:
    """Return processor, cores, instruction sets, memory, system and load in a line."""
    known = fields(Path("/proc/cpuinfo"))
    flags = known.get("flags", known.get("Features", "")).split()
    sets = ", ".join(flag for flag in FLAGS if flag in flags) or "none of " + ", ".join(FLAGS)
    memory = fields(Path("/proc/meminfo")).get("MemTotal", "0 kB").split()[0]
    processor = known.get("model name") or platform.processor() or platform.machine()
    return (
        f"{processor}, {cores()} usable cores ({sets}), "
        f"{int(memory) / 2**20:.0f} GiB, {platform.system()} {platform.release()}, load {load()}"
    )


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> str:
    """Return the load average of a minute."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def fields(path: Path) -> dict[str, str]:
    """Return the first value of each name in a file of ``name: value`` lines."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found
