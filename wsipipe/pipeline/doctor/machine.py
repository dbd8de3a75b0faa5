"""Processor, memory and limits of this machine."""

import os
import shutil
import sys
from multiprocessing import get_context
from pathlib import Path

import psutil

from wsipipe.models.precision import best_precision, processor_name
from wsipipe.pipeline.cluster.client import worker_count
from wsipipe.pipeline.doctor.finding import Finding, examined
from wsipipe.pipeline.planning.memory_budget import DRIVER_BYTES, worker_bytes
from wsipipe.stages.workflow import load_workflow

TOPIC = "machine"
_FEW_FILES = 1024
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


def machine() -> list[Finding]:
    """Examine processor, memory, open files and shared memory."""
    return [_processor(), _memory(), *_open_files(), _shared_memory()]


def _processor() -> Finding:
    cores, all_cores = worker_count(None), os.cpu_count() or 1
    of_all = "" if cores == all_cores else f" of {all_cores}"
    value = f"{processor_name()}, {cores}{of_all} cores, networks in {best_precision('cpu')}"
    return Finding(TOPIC, "processor", "ok", value)


def memory_bytes() -> int:
    """Return the memory that this process may use.

    It is that of the machine, or of its container if that is less.
    """
    installed: int = psutil.virtual_memory().total
    try:
        return min(installed, int(_CGROUP_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or "max"
        return installed


def _memory() -> Finding:
    workers, found = worker_count(None), memory_bytes()
    needed = DRIVER_BYTES + workers * worker_bytes(load_workflow("nuclei_and_tissue"))
    value = (
        f"{found / 1e9:.1f} GB; nuclei_and_tissue with {workers} workers needs up to {needed / 1e9:.1f} GB"
    )
    if found >= needed:
        return Finding(TOPIC, "memory", "ok", value)
    return Finding(TOPIC, "memory", "note", value, f"Run with --memory-budget {0.8 * found / 1e9:.1f}GB.")


def _open_files() -> list[Finding]:
    """Examine the limit of open files; Windows has none that matters."""
    if sys.platform == "win32":
        return []
    try:
        import resource
    except ImportError:
        return []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    value = f"{soft} of {hard}" if hard != resource.RLIM_INFINITY else f"{soft}"
    if soft >= _FEW_FILES:
        return [Finding(TOPIC, "open files", "ok", value)]
    return [Finding(TOPIC, "open files", "note", value, f"Raise the limit: ulimit -n {_FEW_FILES}.")]


def _shared_memory() -> Finding:
    remedy = "Mount a file system at /dev/shm (containers: --shm-size 64m); the locks of processes are there."

    def look() -> str:
        get_context("spawn").Lock()
        return (
            f"{shutil.disk_usage(_SHARED_MEMORY).total / 1e9:.2f} GB" if _SHARED_MEMORY.is_dir() else "usable"
        )

    return examined(TOPIC, "shared memory", remedy, look)
