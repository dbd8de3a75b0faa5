"""The error tree: every failure has a code, an exit code, and a text that says what to do.

    WsipipeError
    |-- ConfigError    (ValueError)   CONFIG             a workflow, option or manifest is wrong
    |-- SlideError     (OSError)      SLIDE_UNREADABLE   a slide does not open or a tile does not decode
    |   `-- SlideChangedError         SLIDE_CHANGED      a slide is not the one of its checksum or of the plan
    |-- MppError       (ValueError)   MPP_MISSING        um per px is missing, absurd or anisotropic
    |-- ModelError     (ValueError)   MODEL              weights are missing, damaged or do not fit
    |-- DeviceError    (RuntimeError) DEVICE             the device asked for is not there
    |-- TrainingError  (RuntimeError) TRAINING           a training cannot go on; names the batch
    |-- StorageError   (OSError)      STORAGE_IO         writing or reading the store failed
    |   |-- StorageFullError          STORAGE_FULL       no space left; free some and run again
    |   `-- NoResultError             NO_RESULT          the path named holds no result of wsipipe
    |-- LockedError    (OSError)      LOCKED             another process works on the same slide
    |-- OutOfMemoryError (RuntimeError) OUT_OF_MEMORY    memory was short, and again with half the patch
    |-- WorkerLostError (RuntimeError) WORKER_LOST       processes died on one task, or the cluster is gone
    |   `-- StalledError              STALLED            processes made no progress on one task
    `-- InternalError  (RuntimeError) INTERNAL           a broken invariant: a defect of wsipipe

Each text is one paragraph: what was asked, what was found, what to do. None derives from ``MemoryError``:
Dask cannot hand its children on from a worker.
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
    """Root of every error that wsipipe raises on purpose."""

    code: str = "INTERNAL"
    exit_code: ExitCode = ExitCode.FAILED


Place = dict[str, int | str]
"""Where an error happened: level, y, x of a tile in px of the level; stage, row, column of a shard."""


def place_of(error: BaseException) -> Place:
    """Where an error happened, as far as it is known; survives the way between processes."""
    return dict(getattr(error, "place", {}))


def add_place(error: BaseException, place: Place) -> None:
    """Adds to where an error happened; what is known from nearer to it stays."""
    error.__dict__["place"] = place | place_of(error)


class ConfigError(WsipipeError, ValueError):
    """A workflow file, an option or a manifest is wrong; names the key's path."""

    code = "CONFIG"
    exit_code = ExitCode.USAGE


class SlideError(WsipipeError, OSError):
    """A slide does not open, or a tile of it does not decode; names level, y and x."""

    code = "SLIDE_UNREADABLE"
    exit_code = ExitCode.SOME_SLIDES_FAILED


class SlideChangedError(SlideError):
    """A slide is not the one of its checksum, or changed while it was read."""

    code = "SLIDE_CHANGED"


class MppError(WsipipeError, ValueError):
    """Um per px is missing, absurd or anisotropic; names the option that mends it."""

    code = "MPP_MISSING"
    exit_code = ExitCode.SOME_SLIDES_FAILED


class ModelError(WsipipeError, ValueError):
    """Weights are missing, damaged, or do not fit the network or the workflow."""

    code = "MODEL"
    exit_code = ExitCode.USAGE


class DeviceError(WsipipeError, RuntimeError):
    """The device asked for is not there, or is unknown."""

    code = "DEVICE"
    exit_code = ExitCode.USAGE


class TrainingError(WsipipeError, RuntimeError):
    """A training cannot go on: the loss is no number; names the file with the batch."""

    code = "TRAINING"


class StorageError(WsipipeError, OSError):
    """The store could not be written or read; names the file."""

    code = "STORAGE_IO"
    exit_code = ExitCode.RETRY_LATER


class StorageFullError(StorageError):
    """No space is left where the store is written; free some and run again."""

    code = "STORAGE_FULL"


class NoResultError(StorageError):
    """The path that was named holds no result of wsipipe, so running again cannot help."""

    code = "NO_RESULT"
    exit_code = ExitCode.USAGE


class LockedError(WsipipeError, OSError):
    """Another process holds the slide's lock; names the process and its start."""

    code = "LOCKED"
    exit_code = ExitCode.RETRY_LATER


class OutOfMemoryError(WsipipeError, RuntimeError):
    """Memory was short on a shard, and again with half the patch."""

    code = "OUT_OF_MEMORY"
    exit_code = ExitCode.SOME_SLIDES_FAILED


class WorkerLostError(WsipipeError, RuntimeError):
    """Worker processes died on one task again and again, or the cluster is gone."""

    code = "WORKER_LOST"
    exit_code = ExitCode.SOME_SLIDES_FAILED


class StalledError(WorkerLostError):
    """Worker processes made no progress on one task and were stopped."""

    code = "STALLED"


class InternalError(WsipipeError, RuntimeError):
    """A broken invariant: a defect of wsipipe, not of the input."""

    code = "INTERNAL"
