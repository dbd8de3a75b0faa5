"""A task pool that reruns a task when its worker process dies or hangs."""

from collections.abc import Callable, Generator
from copy import copy
from pathlib import Path
from typing import Self

from distributed import Client

from wsipipe.pipeline.cluster.attempts import SHARD_TIMEOUT_S
from wsipipe.pipeline.cluster.stall_watch import StallWatch
from wsipipe.pipeline.cluster.task_batch import TaskBatch, TaskCall, TaskSource
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
        self.client, self._markers, self._message = client, markers, message
        self._watch = StallWatch(client, markers, timeout_s)

    def with_message(self, message: Callable[[str], None]) -> Self:
        """Return this pool with another receiver of messages."""
        pool = copy(self)
        pool._message = message
        return pool

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
        self._watch.begin()
        batch = TaskBatch[Result](self.client, self._markers, self._watch.messages, self._message)
        try:
            batch.fill(source)
            while batch.pending:
                yield batch.next_result()
                batch.fill(source)
        finally:
            batch.cancel()
