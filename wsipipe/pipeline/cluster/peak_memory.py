"""Peak memory of this process, as a whole and of one task."""

import sys
from contextlib import suppress
from pathlib import Path

import psutil

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = b"5"
_highest_mb = 0.0


def restart_peak() -> None:
    """Begin a new peak; the highest of all stays in :func:`highest_mb`."""
    highest_mb()
    # Not on all systems; there the peak of a task is that of its process so far.
    with suppress(OSError):
        _CLEAR.write_bytes(_RESET_PEAK)


def peak_mb() -> float:
    """Return the peak resident memory since :func:`restart_peak`, MB."""
    with suppress(OSError, StopIteration):
        lines = _STATUS.read_text(encoding="utf-8", errors="replace").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    return _process_peak_mb()


def _process_peak_mb() -> float:
    """Return the peak resident memory of this process, MB.

    It is the present one if no peak is known.
    """
    if sys.platform != "win32":
        with suppress(ImportError):
            import resource

            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            # In bytes on macOS, in KiB elsewhere.
            return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    used = psutil.Process().memory_info()
    return getattr(used, "peak_wset", used.rss) / (1 << 20)


def highest_mb() -> float:
    """Return the peak resident memory since the process began, MB."""
    global _highest_mb
    _highest_mb = max(_highest_mb, peak_mb())
    return _highest_mb
