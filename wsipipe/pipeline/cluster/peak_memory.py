"""Peak memory of this process, as a whole and of one task."""

import resource
from contextlib import suppress
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
_highest_mb = 0.0


def restart_peak() -> None:
    """Begin a new peak; the highest of all stays in :func:`highest_mb`."""
    highest_mb()
    # Not on all systems; there the peak of a task is that of its process so far.
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)


def peak_mb() -> float:
    """Return the peak resident memory since :func:`restart_peak`, MB."""
    with suppress(OSError, StopIteration):
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def highest_mb() -> float:
    """Return the peak resident memory since the process began, MB."""
    global _highest_mb
    _highest_mb = max(_highest_mb, peak_mb())
    return _highest_mb
