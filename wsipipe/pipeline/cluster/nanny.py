"""A Dask nanny that restarts worker processes that die during start-up."""

from contextlib import suppress
from typing import Literal

from distributed import Nanny
from distributed.core import Status

from wsipipe.pipeline.cluster.script_guard import UNGUARDED_EXIT

STARTS = 5
"""Attempts to start a process when a run begins; later deaths are counted by the task pool."""
_START_FAILED = "nanny-instantiate-failed"


class UnguardedScriptError(RuntimeError):
    """A worker process ended because its script starts a run when it is imported."""


class RetryingNanny(Nanny):
    """A nanny that restarts its process when start-up fails.

    Dask's own nanny (2026.7) closes instead, and the run lacks a worker until its end. A process may be
    killed while it starts by the system (out of memory), by a person or by a test.
    """

    _unguarded = False

    async def instantiate(self) -> Status:
        """Start the process, in up to :data:`STARTS` attempts.

        Once the nanny runs, Dask calls this again for each process that ends, so one attempt per call is
        enough.

        Raises:
            UnguardedScriptError: The process would start the run again.
        """
        tries = STARTS if self.status in (Status.init, Status.starting) else 1
        for _ in range(tries - 1):
            with suppress(Exception):
                status = await super().instantiate()
                if status == Status.running:
                    return status
            if self._unguarded:
                raise UnguardedScriptError
            self.process = None
        return await super().instantiate()

    def _on_worker_exit_sync(self, exitcode: int) -> None:
        self._unguarded |= exitcode == UNGUARDED_EXIT
        super()._on_worker_exit_sync(exitcode)

    async def close(self, timeout: float = 5, reason: str = "nanny-close") -> Literal["OK"]:
        """Close the nanny, unless the reason is a process that did not start."""
        if reason == _START_FAILED:
            return "OK"
        return await super().close(timeout, reason)
