"""A task pool that reruns a task when its worker process dies or hangs."""

import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from distributed import Client, Future
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from wsipipe.errors import WorkerLostError
from wsipipe.pipeline.cluster.attempts import (
    SHARD_TIMEOUT_S,
    STALLED,
    lines_of,
    process_start_time,
    run_attempt,
)
from wsipipe.pipeline.cluster.workers import Lane, call_in_all, has_workers, lanes

MOST_RESUBMISSIONS = 20
WITHOUT_WORKERS_S = 300.0
TASKS_PER_SLOT = 2
"""Tasks that a slide has at each worker: one that runs, and one that follows at once."""
LANES_S = 5.0
_TICK_S = 1.0
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


def ignore_message(_: str) -> None:
    """Discard a message."""


class TaskPool:
    """A pool of tasks on a Dask cluster.

    Args:
        client: Client of the cluster.
        markers: Folder for marker files of running tasks, on a file system that every worker sees.
        timeout_s: Time after which a task counts as hung and its process is stopped, s.
        message: Receiver of messages about processes that were stopped.
    """

    def __init__(
        self,
        client: Client,
        markers: Path,
        timeout_s: float = SHARD_TIMEOUT_S,
        message: Callable[[str], None] = ignore_message,
    ) -> None:
        self.client, self.markers, self.timeout_s, self._message = client, markers, timeout_s, message

    def call[Result](self, name: str, function: Callable[..., Result], *arguments: object) -> Result:
        """Return ``function(*arguments, attempt)``, called in a worker."""
        calls = [TaskCall(name, function, arguments)]
        (result,) = self.each(lambda networks: calls.pop() if calls and False in networks else None)
        return result

    def prepare(self, function: Callable[[bool], None]) -> None:
        """Call a function in every worker; its argument is whether the worker runs networks."""
        call_in_all(self.client, function)

    def each[Result](self, source: TaskSource[Result]) -> Generator[Result]:
        """Yield results as tasks end, until the source has no task and none runs.

        After every result the source is asked for further tasks. Each worker has at most
        :data:`TASKS_PER_SLOT` tasks of this call, so that it is never idle and memory stays small.

        Args:
            source: The tasks.

        Raises:
            WsipipeError: Error of the first task that fails; the others are cancelled.
        """
        batch = _TaskBatch[Result](self)
        try:
            batch.fill(source)
            while batch.pending:
                yield batch.next_result()
                batch.fill(source)
        finally:
            for future in batch.pending:
                future.cancel()
            self._abandon({submitted.call.name for submitted in batch.pending.values()})

    def _abandon(self, names: set[str]) -> None:
        """Watch cancelled tasks until they end; a hung one would block its process."""
        if any((self.markers / name).exists() for name in names):
            threading.Thread(target=self._watch_abandoned, args=(names,), daemon=True).start()

    def _watch_abandoned(self, names: set[str]) -> None:
        seen: dict[str, tuple[int, float]] = {}
        while self.client.status not in {"closing", "closed"}:
            marked = {name: lines_of(self.markers / name) for name in names}
            running = {name for name, lines in marked.items() if lines and lines[-1] != STALLED}
            if not running:
                return
            self.stop_stalled(running, seen)
            time.sleep(_TICK_S)

    def stop_stalled(self, names: set[str], seen: dict[str, tuple[int, float]]) -> None:
        """Stop the process of every named task that runs longer than the timeout.

        Args:
            names: Names of the tasks.
            seen: Number of lines in each marker file and when it was first seen; updated.
        """
        now = time.monotonic()
        for name in names & {marker.name for marker in self.markers.glob("*")}:
            lines = lines_of(self.markers / name)
            if not lines or lines[-1] == STALLED:
                continue
            count, since = seen.get(name, (0, now))
            if count != len(lines):
                seen[name] = (len(lines), now)
            elif now - since > self.timeout_s:
                self._stop(name, lines[-1])

    def _stop(self, name: str, process: str) -> None:
        host, pid, start_time = process.split(" ")
        local = host == socket.gethostname()
        if local and process_start_time(int(pid)) != start_time:
            # The process has died, and the task waits for another one.
            return
        self._message(f"{name}: no progress for {self.timeout_s:g} s; stopping process {pid} on {host}")
        with (self.markers / name).open("a") as file:
            file.write(f"{STALLED}\n")
        if local:
            # Its nanny starts another one; a hung decoder ignores any other signal.
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            return
        workers = self.client.run(os.getpid, on_error="ignore")
        hung = [address for address, found in workers.items() if found == int(pid)]
        self.client.restart_workers(hung, raise_for_error=False)


@dataclass(frozen=True)
class _Submitted[Result]:
    """A task at the cluster, and the place of its lane."""

    call: TaskCall[Result]
    lane: int


class _TaskBatch[Result]:
    """The tasks of one call of :meth:`TaskPool.each`."""

    def __init__(self, pool: TaskPool) -> None:
        self._pool = pool
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._seen: dict[str, tuple[int, float]] = {}
        self._resubmitted = 0
        self._watched = self._had_workers = time.monotonic()
        self._lanes: list[Lane] = []
        self._lanes_read = 0.0
        self.pending: dict[Future, _Submitted[Result]] = {}

    def fill(self, source: TaskSource[Result]) -> None:
        """Submit tasks until every worker has enough, or the source has none."""
        self._read_lanes()
        for place, lane in enumerate(self._lanes):
            free = max(1, TASKS_PER_SLOT * lane.slots) - self._in_lane(place)
            while free > 0 and (call := source(lane.networks)) is not None:
                (self._pool.markers / call.name).unlink(missing_ok=True)
                self._submit(_Submitted(call, place))
                free -= 1

    def _in_lane(self, place: int) -> int:
        return sum(submitted.lane == place for submitted in self.pending.values())

    def _read_lanes(self) -> None:
        """Look from time to time for workers that came or went."""
        now = time.monotonic()
        if self._lanes and now - self._lanes_read < LANES_S:
            return
        found = lanes(self._pool.client)
        # While all workers of a lane restart, it stays.
        if len(found) >= len(self._lanes) and (not self._lanes or any(lane.slots for lane in found)):
            self._lanes = found
        self._lanes_read = now

    def _submit(self, submitted: _Submitted[Result]) -> None:
        call = submitted.call
        future = self._pool.client.submit(
            run_attempt,
            self._pool.markers / call.name,
            call.function,
            call.arguments,
            pure=False,
            retries=0,
            resources=self._lanes[submitted.lane].resources,
            priority=call.priority,
        )
        self.pending[future] = submitted
        future.add_done_callback(self._ended.put)

    def next_result(self) -> Result:
        while True:
            future = self._next_ended()
            submitted = self.pending[future]
            call = submitted.call
            try:
                result = self._result(future)
                self._resubmitted = 0
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
        if time.monotonic() - self._watched > _TICK_S:
            self._watched = time.monotonic()
            self._pool.stop_stalled({submitted.call.name for submitted in self.pending.values()}, self._seen)
            if self._pool.client.status in {"closing", "closed"}:
                raise CancelledError
            self._check_workers()

    def _check_workers(self) -> None:
        if has_workers(self._pool.client):
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
                return self._ended.get(timeout=_TICK_S)
            except queue.Empty:
                continue
