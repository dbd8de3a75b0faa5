"""A Dask worker's keeper that does not give up on a process that dies before it is up."""

from contextlib import suppress
from typing import Literal

from distributed import Nanny
from distributed.core import Status

from wsipipe.pipeline.cluster.script_guard import UNGUARDED_EXIT

STARTS = 5
"""Processes that may die before one is up, when a run begins; later ones are counted by the pool."""
_START_FAILED = "nanny-instantiate-failed"


class UnguardedScriptError(RuntimeError):
    """A worker process ended because its script starts a run when it is imported."""


class RetryingNanny(Nanny):
    """Starts its process anew where Dask's own nanny (2026.7) closes and the run is a worker short for good.

    A process is killed while it starts by whoever kills processes: out of memory, by a person, by a trial.
    """

    _unguarded = False

    async def instantiate(self) -> Status:
        """Starts the process, up to :data:`STARTS` times.

        Once the nanny runs, Dask calls this again for each process that ends, so it is tried once a call.

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
        """Closes, but not because one process did not start."""
        if reason == _START_FAILED:
            return "OK"
        return await super().close(timeout, reason)
