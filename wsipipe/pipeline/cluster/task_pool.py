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
from wsipipe.pipeline.cluster.attempts import PATIENCE_S, STALLED, attempt, born, lines_of
from wsipipe.pipeline.cluster.client import has_workers, placement

MOST_RESUBMISSIONS = 20
WITHOUT_WORKERS_S = 300.0
_TICK_S = 1.0
_RESULT_S = 5.0


@dataclass(frozen=True)
class Call:
    """One task.

    Attributes:
        name: Unique among those that run; a file name.
        function: What a worker runs; its last argument is the number of earlier attempts.
        arguments: Those before.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def quiet(_: str) -> None:
    """Says nothing."""


class Pool:
    """Tasks on a cluster.

    Args:
        client: Of the cluster.
        marks: Folder for marks of running tasks, on a file system that every worker sees.
        patience_s: A task that takes longer is taken for hung, and its process is stopped.
        say: Told of processes that were lost or stopped.
    """

    def __init__(
        self,
        client: Client,
        marks: Path,
        patience_s: float = PATIENCE_S,
        say: Callable[[str], None] = quiet,
    ) -> None:
        self.client, self.marks, self.patience_s, self._say = client, marks, patience_s, say

    def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What ``function(*arguments, attempt)`` gives in a worker that needs no device."""
        (result,) = self.each([Call(name, function, arguments)])
        return result

    def each(self, calls: Sequence[Call], on_device: bool = False) -> Iterator[Any]:
        """Results as they come; all tasks are handed over at once, so that no worker stands idle.

        Raises:
            WsipipeError: Of the first task that fails; the others are cancelled.
        """
        run = _Run(self, placement(self.client, on_device))
        try:
            for priority, call in enumerate(calls):
                (self.marks / call.name).unlink(missing_ok=True)
                run.submit(call, -priority)
            while run.pending:
                yield run.next_result()
        finally:
            for future in run.pending:
                future.cancel()
            self._abandon({call.name for call, _ in run.pending.values()})

    def _abandon(self, names: set[str]) -> None:
        """Watches cancelled tasks to their end: one that hangs would keep its process from everybody else."""
        if any((self.marks / name).exists() for name in names):
            threading.Thread(target=self._watch_abandoned, args=(names,), daemon=True).start()

    def _watch_abandoned(self, names: set[str]) -> None:
        seen: dict[str, tuple[int, float]] = {}
        while self.client.status not in {"closing", "closed"}:
            marked = {name: lines_of(self.marks / name) for name in names}
            running = {name for name, lines in marked.items() if lines and lines[-1] != STALLED}
            if not running:
                return
            self.stop_stalled(running, seen)
            time.sleep(_TICK_S)

    def stop_stalled(self, names: set[str], seen: dict[str, tuple[int, float]]) -> None:
        """Stops the process of every named task that has been at it for longer than the patience."""
        now = time.monotonic()
        for name in names & {mark.name for mark in self.marks.glob("*")}:
            lines = lines_of(self.marks / name)
            if not lines or lines[-1] == STALLED:
                continue
            count, since = seen.get(name, (0, now))
            if count != len(lines):
                seen[name] = (len(lines), now)
            elif now - since > self.patience_s:
                self._stop(name, lines[-1])

    def _stop(self, name: str, process: str) -> None:
        host, pid, birth = process.split(" ")
        local = host == socket.gethostname()
        if local and born(int(pid)) != birth:
            # It died by itself, and the task waits for another.
            return
        self._say(f"{name}: no progress for {self.patience_s:g} s; process {pid} on {host} is stopped")
        with (self.marks / name).open("a") as file:
            file.write(f"{STALLED}\n")
        if local:
            # Its nanny starts another; a hung decoder heeds no gentler request.
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            return
        workers = self.client.run(os.getpid, on_error="ignore")
        hung = [address for address, found in workers.items() if found == int(pid)]
        self.client.restart_workers(hung, raise_for_error=False)


class _Run:
    """The tasks of one :meth:`Pool.each`."""

    def __init__(self, pool: Pool, resources: dict[str, float]) -> None:
        self._pool, self._resources = pool, resources
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._seen: dict[str, tuple[int, float]] = {}
        self._resubmitted = 0
        self._watched = self._peopled = time.monotonic()
        self.pending: dict[Future, tuple[Call, int]] = {}

    def submit(self, call: Call, priority: int) -> None:
        future = self._pool.client.submit(
            attempt,
            self._pool.marks / call.name,
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
