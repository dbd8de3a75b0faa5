"""Tasks at a cluster: few at a time, and submitted again when their worker dies."""

import queue
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from distributed import Client, Future
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from wsipipe.errors import WorkerLostError
from wsipipe.pipeline.cluster.attempts import run_attempt
from wsipipe.pipeline.cluster.workers import Lane, has_workers, lanes

MOST_RESUBMISSIONS = 20
WITHOUT_WORKERS_S = 300.0
TASKS_PER_SLOT = 2
"""Tasks that a slide has at each worker: one that runs, and one that follows at once."""
LANES_S = 5.0
TICK_S = 1.0
_RESULT_S = 5.0


@dataclass(frozen=True)
class TaskCall[Result]:
    """A function call that runs in a worker.

    Attributes:
        name: Name of the task, unique among those that run; used as a file name.
        function: Function whose last argument is the number of earlier attempts.
        arguments: Arguments of the function, before that number.
        priority: Tasks with a higher one run first, of all tasks that wait.
    """

    name: str
    function: Callable[..., Result]
    arguments: tuple[object, ...]
    priority: int = 0


class TaskSource[Result](Protocol):
    """Function that gives tasks to a pool, best first."""

    def __call__(self, networks: tuple[bool, ...], /) -> TaskCall[Result] | None:
        """Return the next task that can run now; None if there is none at the moment.

        Args:
            networks: Whether the task may run a network, must, or must not: both values, or one.
        """
        ...


@dataclass(frozen=True)
class Submitted[Result]:
    """A task at the cluster, and the place of its lane."""

    call: TaskCall[Result]
    lane: int


class TaskBatch[Result]:
    """The tasks of one call of ``TaskPool.each``.

    Args:
        client: Client of the cluster.
        markers: Folder for marker files of running tasks.
        messages: Receivers of messages about tasks, by name of the task; those of the batch are added.
        message: Receiver of messages about the tasks of the batch.

    Attributes:
        pending: Tasks that have not ended, by their future.
    """

    def __init__(
        self,
        client: Client,
        markers: Path,
        messages: dict[str, Callable[[str], None]],
        message: Callable[[str], None],
    ) -> None:
        self._client, self._markers = client, markers
        self._messages, self._message = messages, message
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._resubmitted = 0
        self._watched = self._had_workers = time.monotonic()
        self._lanes: list[Lane] = []
        self._lanes_read = 0.0
        self.pending: dict[Future, Submitted[Result]] = {}

    def fill(self, source: TaskSource[Result]) -> None:
        """Submit tasks until every worker has enough, or the source has none."""
        self._read_lanes()
        for place, lane in enumerate(self._lanes):
            free = max(1, TASKS_PER_SLOT * lane.slots) - self._in_lane(place)
            while free > 0 and (call := source(lane.networks)) is not None:
                (self._markers / call.name).unlink(missing_ok=True)
                self._submit(Submitted(call, place))
                free -= 1

    def _in_lane(self, place: int) -> int:
        return sum(submitted.lane == place for submitted in self.pending.values())

    def _read_lanes(self) -> None:
        """Look from time to time for workers that came or went."""
        now = time.monotonic()
        if self._lanes and now - self._lanes_read < LANES_S:
            return
        self._lanes_read = now
        try:
            found = lanes(self._client)
        except OSError:
            # A scheduler that is away for good ends the tasks that run.
            if not self._lanes:
                raise
            return
        # While all workers of a lane restart, it stays.
        if len(found) >= len(self._lanes) and (not self._lanes or any(lane.slots for lane in found)):
            self._lanes = found

    def _submit(self, submitted: Submitted[Result]) -> None:
        call = submitted.call
        future = self._client.submit(
            run_attempt,
            self._markers / call.name,
            call.function,
            call.arguments,
            pure=False,
            retries=0,
            resources=self._lanes[submitted.lane].resources,
            priority=call.priority,
        )
        self.pending[future] = submitted
        self._messages[call.name] = self._message
        future.add_done_callback(self._ended.put)

    def cancel(self) -> None:
        """Cancel all tasks that have not ended; those that run go on to their end."""
        for future in self.pending:
            future.cancel()

    def next_result(self) -> Result:
        """Wait for a task to end and return its result.

        Raises:
            WsipipeError: Error of the task, or the cluster was lost.
        """
        while True:
            future = self._next_ended()
            submitted = self.pending[future]
            call = submitted.call
            try:
                result = self._result(future)
                self._resubmitted = 0
                self._messages.pop(call.name, None)
                return result
            except KilledWorker as error:
                # A scheduler with Dask's defaults fails every task that was queued on a worker that died.
                self._resubmitted += 1
                if self._resubmitted > MOST_RESUBMISSIONS + len(self.pending):
                    raise WorkerLostError(f"{call.name}: workers die repeatedly: {error}") from error
                self._submit(submitted)
            except (CancelledError, CommClosedError) as error:
                raise WorkerLostError(
                    f"{call.name}: the connection to the Dask cluster was lost. Finished shards are kept; "
                    f"run the same command again."
                ) from error
            finally:
                del self.pending[future]

    def _result(self, future: Future) -> Result:
        """Return the result of a future that ended.

        Dask computes it again if its worker dies before the result has arrived.
        """
        while True:
            try:
                return future.result(timeout=_RESULT_S)
            except TimeoutError:
                if future.status == "error":
                    raise
                self._watch()

    def _watch(self) -> None:
        if time.monotonic() - self._watched > TICK_S:
            self._watched = time.monotonic()
            if self._client.status in {"closing", "closed"}:
                raise CancelledError
            self._check_workers()

    def _check_workers(self) -> None:
        if has_workers(self._client):
            self._had_workers = time.monotonic()
        elif time.monotonic() - self._had_workers > WITHOUT_WORKERS_S:
            raise WorkerLostError(
                f"no worker has been connected to the Dask cluster for {WITHOUT_WORKERS_S:g} s. Start "
                f"workers, or run the same command again; finished shards are kept."
            )

    def _next_ended(self) -> Future:
        while True:
            self._watch()
            try:
                return self._ended.get(timeout=TICK_S)
            except queue.Empty:
                continue
