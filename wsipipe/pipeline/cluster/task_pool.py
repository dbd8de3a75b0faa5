"""Workers that lose nothing: a task whose process dies or makes no progress is given to another process."""

import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from wsipipe.pipeline.cluster.workers import has_workers, placement

MOST_RESUBMISSIONS = 20
WITHOUT_WORKERS_S = 300.0
_TICK_S = 1.0
_RESULT_S = 5.0


@dataclass(frozen=True)
class TaskCall:
    """One task.

    Attributes:
        name: Unique among those that run; a file name.
        function: What a worker runs; its last argument is the number of earlier attempts.
        arguments: Those before.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def ignore_message(_: str) -> None:
    """Says nothing."""


class TaskPool:
    """Tasks on a cluster.

    Args:
        client: Of the cluster.
        markers: Folder for markers of running tasks, on a file system that every worker sees.
        timeout_s: A task that takes longer is taken for hung, and its process is stopped.
        say: Told of processes that were lost or stopped.
    """

    def __init__(
        self,
        client: Client,
        markers: Path,
        timeout_s: float = SHARD_TIMEOUT_S,
        say: Callable[[str], None] = ignore_message,
    ) -> None:
        self.client, self.markers, self.timeout_s, self._say = client, markers, timeout_s, say

    def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What ``function(*arguments, attempt)`` gives in a worker that needs no device."""
        (result,) = self.each([TaskCall(name, function, arguments)])
        return result

    def each(self, calls: Sequence[TaskCall], on_device: bool = False) -> Iterator[Any]:
        """Results as they come; all tasks are handed over at once, so that no worker stands idle.

        Raises:
            WsipipeError: Of the first task that fails; the others are cancelled.
        """
        run = _TaskBatch(self, placement(self.client, on_device))
        try:
            for priority, call in enumerate(calls):
                (self.markers / call.name).unlink(missing_ok=True)
                run.submit(call, -priority)
            while run.pending:
                yield run.next_result()
        finally:
            for future in run.pending:
                future.cancel()
            self._abandon({call.name for call, _ in run.pending.values()})

    def _abandon(self, names: set[str]) -> None:
        """Watches cancelled tasks to their end: one that hangs would keep its process from everybody else."""
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
        """Stops the process of every named task that has been at it for longer than the patience."""
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
        host, pid, birth = process.split(" ")
        local = host == socket.gethostname()
        if local and process_start_time(int(pid)) != birth:
            # It died by itself, and the task waits for another.
            return
        self._say(f"{name}: no progress for {self.timeout_s:g} s; process {pid} on {host} is stopped")
        with (self.markers / name).open("a") as file:
            file.write(f"{STALLED}\n")
        if local:
            # Its nanny starts another; a hung decoder heeds no gentler request.
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            return
        workers = self.client.run(os.getpid, on_error="ignore")
        hung = [address for address, found in workers.items() if found == int(pid)]
        self.client.restart_workers(hung, raise_for_error=False)


class _TaskBatch:
    """The tasks of one :meth:`Pool.each`."""

    def __init__(self, pool: TaskPool, resources: dict[str, float]) -> None:
        self._pool, self._resources = pool, resources
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._seen: dict[str, tuple[int, float]] = {}
        self._resubmitted = 0
        self._watched = self._peopled = time.monotonic()
        self.pending: dict[Future, tuple[TaskCall, int]] = {}

    def submit(self, call: TaskCall, priority: int) -> None:
        future = self._pool.client.submit(
            run_attempt,
            self._pool.markers / call.name,
            call.function,
            call.arguments,
            pure=False,
            retries=0,
            resources=self._resources,
            priority=priority,
        )
        self.pending[future] = (call, priority)
        future.add_done_callback(self._ended.put)

    def next_result(self) -> Any:
        while True:
            future = self._next_ended()
            call, priority = self.pending[future]
            try:
                return self._result(future)
            except KilledWorker as error:
                # A foreign scheduler blames every task that waited at the worker that died.
                self._resubmitted += 1
                if self._resubmitted > MOST_RESUBMISSIONS + len(self.pending):
                    raise WorkerLostError(f"{call.name}: workers die again and again: {error}") from error
                self.submit(call, priority)
            except (CancelledError, CommClosedError) as error:
                raise WorkerLostError(
                    f"{call.name}: the connection to the Dask cluster was lost. Finished shards are kept; "
                    f"run the same command again."
                ) from error
            finally:
                del self.pending[future]

    def _result(self, future: Future) -> Any:
        """Of a future that ended; if its worker dies before the result has come, it is computed once more."""
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
            self._pool.stop_stalled({call.name for call, _ in self.pending.values()}, self._seen)
            if self._pool.client.status in {"closing", "closed"}:
                raise CancelledError
            self._check_workers()

    def _check_workers(self) -> None:
        if has_workers(self._pool.client):
            self._peopled = time.monotonic()
        elif time.monotonic() - self._peopled > WITHOUT_WORKERS_S:
            raise WorkerLostError(
                f"no worker is connected to the Dask cluster since {WITHOUT_WORKERS_S:g} s. Finished shards "
                f"are kept; start workers, or run the same command again."
            )

    def _next_ended(self) -> Future:
        while True:
            self._watch()
            try:
                return self._ended.get(timeout=_TICK_S)
            except queue.Empty:
                continue
