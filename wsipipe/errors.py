"""The error tree: every error has a code, an exit code and a remedy.

    WsipipeError
    |-- ConfigError    (ValueError)   CONFIG             a workflow, option or manifest is wrong
    |-- SlideError     (OSError)      SLIDE_UNREADABLE   a slide does not open or a tile does not decode
    |   `-- SlideChangedError         SLIDE_CHANGED      a slide does not match its checksum or its plan
    |-- MppError       (ValueError)   MPP_MISSING        µm/px is missing, implausible or anisotropic
    |-- ModelError     (ValueError)   MODEL              weights are missing, damaged or do not fit
    |-- DeviceError    (RuntimeError) DEVICE             the requested device is not available
    |-- TrainingError  (RuntimeError) TRAINING           the loss is not a number; names the batch
    |-- StorageError   (OSError)      STORAGE_IO         writing or reading the store failed
    |   |-- StorageFullError          STORAGE_FULL       the disk is full; free space and run again
    |   `-- NoResultError             NO_RESULT          the path has no result of wsipipe
    |-- LockedError    (OSError)      LOCKED             another process works on the same slide
    |-- OutOfMemoryError (RuntimeError) OUT_OF_MEMORY    memory was short, and again with half the patch
    |-- WorkerLostError (RuntimeError) WORKER_LOST       processes died on one task, or the cluster is lost
    |   `-- StalledError              STALLED            processes made no progress on one task
    `-- InternalError  (RuntimeError) INTERNAL           a broken invariant: a defect of wsipipe

Each message is one paragraph: what failed, why, what to do. No error derives from ``MemoryError``: Dask
cannot transfer its subclasses from a worker.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line; see docs/robustness.md."""

    OK = 0
    FAILED = 1
    SOME_SLIDES_FAILED = 2
    USAGE = 64
    RETRY_LATER = 75
    INTERRUPTED = 130


class WsipipeError(Exception):
    """Base class of all errors of wsipipe."""

    code: str = "INTERNAL"
    exit_code: ExitCode = ExitCode.FAILED


Place = dict[str, int | str]
"""Location of an error: level, y, x of a tile in px of the level; stage, row, column of a shard."""


def place_of(error: BaseException) -> Place:
    """Return the location of an error, as far as known.

    It is kept when an error is sent from one process to another.
    """
    return dict(getattr(error, "place", {}))


def add_place(error: BaseException, place: Place) -> None:
    """Attach a location to an error; details that are already set take precedence."""
    error.__dict__["place"] = place | place_of(error)


class ConfigError(WsipipeError, ValueError):
    """A workflow file, option or manifest is wrong; names the key."""

    code = "CONFIG"
    exit_code = ExitCode.USAGE


class SlideError(WsipipeError, OSError):
    """A slide does not open, or a tile does not decode; names the tile."""

    code = "SLIDE_UNREADABLE"
    exit_code = ExitCode.SOME_SLIDES_FAILED


class SlideChangedError(SlideError):
    """A slide does not match its checksum, or changed while it was read."""

    code = "SLIDE_CHANGED"


class MppError(WsipipeError, ValueError):
    """The µm/px value is missing, implausible or anisotropic; names the remedy."""

    code = "MPP_MISSING"
    exit_code = ExitCode.SOME_SLIDES_FAILED


class ModelError(WsipipeError, ValueError):
    """Weights are missing, damaged, or do not fit network or workflow."""

    code = "MODEL"
    exit_code = ExitCode.USAGE


class DeviceError(WsipipeError, RuntimeError):
    """The requested device is unknown or not available."""

    code = "DEVICE"
    exit_code = ExitCode.USAGE


class TrainingError(WsipipeError, RuntimeError):
    """The loss of a training is not a number; names the batch file."""

    code = "TRAINING"


class StorageError(WsipipeError, OSError):
    """Writing or reading the store failed; names the file."""

    code = "STORAGE_IO"
    exit_code = ExitCode.RETRY_LATER


class StorageFullError(StorageError):
    """The disk is full; free space and run again."""

    code = "STORAGE_FULL"


class NoResultError(StorageError):
    """The path has no result of wsipipe; running again does not help."""

    code = "NO_RESULT"
    exit_code = ExitCode.USAGE


class LockedError(WsipipeError, OSError):
    """Another process holds the lock; names the process and its start."""

    code = "LOCKED"
    exit_code = ExitCode.RETRY_LATER


class OutOfMemoryError(WsipipeError, RuntimeError):
    """Memory was short for a shard, and again with half the patch."""

    code = "OUT_OF_MEMORY"
    exit_code = ExitCode.SOME_SLIDES_FAILED


class WorkerLostError(WsipipeError, RuntimeError):
    """Worker processes died repeatedly on one task, or the cluster is lost."""

    code = "WORKER_LOST"
    exit_code = ExitCode.SOME_SLIDES_FAILED


class StalledError(WorkerLostError):
    """Worker processes made no progress on one task and were stopped."""

    code = "STALLED"


class InternalError(WsipipeError, RuntimeError):
    """A broken invariant: a defect of wsipipe, not of the input."""

    code = "INTERNAL"
