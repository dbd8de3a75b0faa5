"""A Dask worker's keeper that does not give up on a process that dies before it is up."""

from contextlib import suppress
from typing import Literal

from distributed import Nanny
from distributed.core import Status

STARTS = 5
"""Processes that may die before one is up, when a run begins; later ones are counted by the pool."""
_START_FAILED = "nanny-instantiate-failed"


class SteadyNanny(Nanny):
    """Starts its process anew where Dask's own nanny (2026.7) closes and the run is a worker short for good.

    A process is killed while it starts by whoever kills processes: out of memory, by a person, by a trial.
    """

    async def instantiate(self) -> Status:
        """Starts the process, up to :data:`STARTS` times.

        Once the nanny runs, Dask calls this again for each process that ends, so it is tried once a call.
        """
        tries = STARTS if self.status in (Status.init, Status.starting) else 1
        for _ in range(tries - 1):
            with suppress(Exception):
                status = await super().instantiate()
                if status == Status.running:
                    return status
            self.process = None
        return await super().instantiate()

    async def close(self, timeout: float = 5, reason: str = "nanny-close") -> Literal["OK"]:
        """Closes, but not because one process did not start."""
        if reason == _START_FAILED:
            return "OK"
        return await super().close(timeout, reason)
