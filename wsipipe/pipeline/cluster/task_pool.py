"""A task pool that reruns a task when its worker process dies or hangs."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

from distributed import Client

from wsipipe.pipeline.cluster.attempts import SHARD_TIMEOUT_S, STALLED, lines_of, process_start_time
from wsipipe.pipeline.cluster.task_batch import TICK_S, SeenMarkers, TaskBatch, TaskCall, TaskSource
from wsipipe.pipeline.cluster.workers import call_in_all


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
        ``TASKS_PER_SLOT`` tasks of this call, so that it is never idle and memory stays small.

        Args:
            source: The tasks.

        Raises:
            WsipipeError: Error of the first task that fails; the others are cancelled.
        """
        batch = TaskBatch[Result](self.client, self.markers, self.stop_stalled)
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
        seen: SeenMarkers = {}
        while self.client.status not in {"closing", "closed"}:
            marked = {name: lines_of(self.markers / name) for name in names}
            running = {name for name, lines in marked.items() if lines and lines[-1] != STALLED}
            if not running:
                return
            self.stop_stalled(running, seen)
            time.sleep(TICK_S)

    def stop_stalled(self, names: set[str], seen: SeenMarkers) -> None:
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
